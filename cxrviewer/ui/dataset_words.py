"""What the data set page says: titles of the readers, what their folders look like, and what their options mean."""

from __future__ import annotations

READERS: dict[str, tuple[str, str]] = {
    "kermany": ("Kermany: children, pneumonia or not", "train/NORMAL/*.jpeg and train/PNEUMONIA/*.jpeg"),
    "nih": ("NIH ChestX-ray14", "Data_Entry_2017*.csv beside images*/"),
    "nih-tfrecord": ("NIH ChestX-ray14 as TFRecords", "preprocessed_data.csv and data/*.tfrec"),
    "chexpert": ("CheXpert", "train.csv and valid.csv beside train/ and valid/"),
    "siim": ("SIIM-ACR pneumothorax", "train-rle.csv and DICOM files below it"),
    "rsna": ("RSNA pneumonia", "stage_2_train_labels.csv beside stage_2_train_images/"),
    "vindr": ("VinDr-CXR", "annotations/*.csv beside train/ and test/"),
    "nlm": ("Montgomery and Shenzhen", "images/ with the owner's names; masks/ where they are at hand"),
    "covid": ("COVID-19 pictures, Hannover", "metadata.csv beside images/"),
    "folder": ("A folder a class", "CLASS/picture.png, or train/CLASS/picture.png"),
    "csv": ("Any table of pictures", "a .csv whose lines name pictures below the same folder"),
    "torchxrayvision": (
        "Another one, through torchxrayvision",
        "as that library wants it; an optional extra",
    ),
}
"""Reader -> what it is called, and what its folder holds."""

OPTIONS: dict[str, tuple[str, str]] = {
    "uncertain": ("Uncertain (-1) counts as", "U-Ignore, U-Zeros and U-Ones of Irvin et al., 2019."),
    "blank": (
        "A blank counts as",
        "Published work takes a blank as negative; a report did not name the finding.",
    ),
    "views": ("Views", "Lateral pictures can be left out."),
    "labels": ("Labels", "Columns of 1, 0 and empty, or one column of names joined by |. Empty: guessed."),
    "agreement": ("Readers that must agree", "How many of a picture's readers must have named a finding."),
    "patient": (
        "Patient",
        "What names the patient. Empty: guessed, or a picture counts as a patient of its own.",
    ),
    "file": ("Table", "Which .csv of the folder."),
    "path": ("Picture's path", "Relative to the folder. Empty: guessed."),
    "view": ("View", "PA, AP or lateral. Empty: guessed."),
    "age": ("Age", "In years. Empty: guessed."),
    "sex": ("Sex", "M, F or O. Empty: guessed."),
    "split": ("Part", "train, val or test, as the owner dealt them. Empty: guessed."),
    "data": ("The library's data set", "One of its classes."),
    "arguments": (
        "Its arguments",
        'As JSON: {"csvpath": "..."}. The folder is its imgpath unless you say otherwise.',
    ),
}
"""A reader's option -> its label and what it means."""

OPTION_WORDS: dict[tuple[str, str], str] = {
    ("uncertain", "ignore"): "not stated (U-Ignore)",
    ("uncertain", "zeros"): "negative (U-Zeros)",
    ("uncertain", "ones"): "positive (U-Ones)",
    ("blank", "ignore"): "not stated",
    ("views", "frontal"): "frontal only",
    ("agreement", "any"): "any of them",
    ("agreement", "majority"): "most of them",
    ("agreement", "all"): "all of them",
}
"""How a choice of an option reads; one that lacks reads as it is written."""

SPLITS = {
    "patient": "by patient",
    "stratified": "by patient, every label spread evenly",
    "official": "as its owner dealt it",
}

WHERE = (
    "The app reads folders of the machine that it runs on, with the rights of whoever started it. It listens on this "
    "machine alone (127.0.0.1). Pictures stay where they are; only the name and your choices are kept."
)
