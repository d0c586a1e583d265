"""``python -m doctor``: the same as the script ``kdoctor``."""

from doctor.cli import main

if __name__ == "__main__":
    main()
