"""The one path that screens and command line both take. Importing it loads no network library."""

from cxrviewer.reading.explanation_jobs import ExplanationJobs
from cxrviewer.reading.jobs import Job, Jobs, JobState
from cxrviewer.reading.reader import Reader
from cxrviewer.reading.values import Failure, Reading

__all__ = ["ExplanationJobs", "Failure", "Job", "JobState", "Jobs", "Reader", "Reading"]
