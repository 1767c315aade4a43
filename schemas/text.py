"""Persian text as people type it, made one spelling (MODULES.md D2)."""

_DIGITS = {ord(c): str(i % 10) for i, c in enumerate("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩")}
_LETTERS = str.maketrans(
    "يىكةۀ",
    "ییکهه",
    "\u0640\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
)
"""Gone: tatweel, direction marks and what else pasted text brings unseen. ZWNJ is spelling and stays."""

MAX_CODE = 64
"""Characters in a code or a source's own id."""

_ZWNJ = "\u200c"
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
    """Free text with one spelling of ی and ک, no tatweel or unseen marks but ZWNJ, no outer blanks."""
    return text.strip() if text.isascii() else text.translate(_LETTERS).strip()


def code(text: str) -> str:
    """A code (product, account, warehouse, attribute): one spelling of letters and digits, so ``كالا۱`` = ``کالا1``."""
    return text.strip() if text.isascii() else text.translate(_LETTERS).translate(_DIGITS).strip()


def is_code(text: str, limit: int = MAX_CODE) -> bool:
    """Whether a text can be a code: 1 to ``limit`` characters, each printable or the ZWNJ of words like «قهوه‌ای»."""
    if not 0 < len(text) <= limit:
        return False
    if text.isprintable():
        return True
    shown = text.replace(_ZWNJ, "")
    return shown != "" and shown.isprintable()


def persian_digits(value: object) -> str:
    """0-9 as ۰-۹, for what Persian readers see."""
    return str(value).translate(_PERSIAN)


def group(value: int) -> str:
    """Rials with thousands marks: 1234567 → ``1,234,567``."""
    return f"{value:,}"
