"""Get a model: what others have published, fetched when asked for. Nothing is asked of any machine before that."""

from __future__ import annotations

import streamlit as st

from cxrviewer.reading.jobs import JobState
from cxrviewer.ui import resources, shell

_SHOWN, _WANTED = "getting-shown", "getting-wanted"


def show_getting() -> None:
    """A button at first; then the list, a choice, and how far a fetch is."""
    if not st.toggle("Get a model", key=_SHOWN, help="Published weights, fetched from their publishers."):
        return
    from cxrviewer.classifiers.getting import available

    offers = available()
    st.dataframe(
        {
            "Weights": [offer.published.name for offer in offers],
            "For": ["serving" if offer.published.serves else "starting a run" for offer in offers],
            "MB": [offer.published.megabytes for offer in offers],
            "Here": ["yes" if offer.present else "" for offer in offers],
            "Trained on": [offer.published.trained_on for offer in offers],
            "Licence": [offer.published.licence for offer in offers],
            "Source": [offer.published.citation for offer in offers],
        },
        hide_index=True, height=280,
    )  # fmt: skip
    pick, press, _ = st.columns([3, 1, 3], vertical_alignment="bottom")
    name = pick.selectbox("Weights", [offer.published.name for offer in offers if not offer.present])
    if name and press.button("Fetch", key="getting-fetch", width="stretch"):
        st.session_state[_WANTED] = name
        resources.forget_fetch(name)  # an attempt that failed is made again
    if wanted := st.session_state.get(_WANTED):
        _tell(wanted)


def _tell(name: str) -> None:
    """How far a fetch is, or why it failed; nothing more once it is there, since the list says so."""
    job = resources.fetched(name)
    if not job.finished:
        _watch(name)
    elif job.failure is not None:
        shell.note(f"{name} was not fetched.", job.failure.message, kind="error")
    elif job.state is JobState.DONE:
        st.session_state.pop(_WANTED, None)
        st.rerun()


@st.fragment(run_every=1.0)
def _watch(name: str) -> None:
    job = resources.fetched(name)
    if job.finished:
        st.rerun()
    shell.quiet(f"Fetching {name}. The page may be left meanwhile.")
    st.progress(job.progress)
