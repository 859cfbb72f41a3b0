"""`python -m cxrviewer`."""

from cxrviewer.cli import main

if __name__ == "__main__":
    main()
