"""Persian text as people type it, made one spelling (MODULES.md D2)."""

_DIGITS = {ord(c): str(i % 10) for i, c in enumerate("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩")}
_LETTERS = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه", "ۀ": "ه", "\u0640": "", "\u200f": "", "\u200e": ""})
_NUMBER_MARKS = str.maketrans({"٫": ".", "٬": "", "،": ","})
_PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def latin_digits(text: str) -> str:
    """Persian and Arabic digits as 0-9; everything else untouched."""
    return text if text.isascii() else text.translate(_DIGITS)


def number_text(text: str) -> str:
    """A typed number ready for parsing: Latin digits, '.' as decimal mark, no thousands marks or blanks."""
    text = latin_digits(text).translate(_NUMBER_MARKS).strip()
    return text.replace(",", "").replace(" ", "")


def normalise(text: str) -> str:
    """Free text with one spelling of ی and ک, no tatweel or direction marks, digits as typed, outer blanks gone."""
    return text.strip() if text.isascii() else text.translate(_LETTERS).strip()


def code(text: str) -> str:
    """A code (product, account, warehouse, attribute): one spelling of letters and digits, so ``كالا۱`` = ``کالا1``."""
    return text.strip() if text.isascii() else text.translate(_LETTERS).translate(_DIGITS).strip()


def persian_digits(value: object) -> str:
    """0-9 as ۰-۹, for what Persian readers see."""
    return str(value).translate(_PERSIAN)


def group(value: int) -> str:
    """Rials with thousands marks: 1234567 → ``1,234,567``."""
    return f"{value:,}"
