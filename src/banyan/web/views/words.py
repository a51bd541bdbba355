"""The codes in the services' answers, in English words; templates say them in the reader's language."""


def N_(text: str) -> str:
    return text


CATEGORIES = {
    "programming": N_("Programming"),
    "data": N_("Data"),
    "design": N_("Design"),
    "marketing": N_("Marketing"),
    "office": N_("Office work"),
    "career": N_("Career"),
    "language": N_("Languages"),
    "writing": N_("Writing"),
    "photo": N_("Photo and video"),
    "music": N_("Music"),
    "art": N_("Art"),
    "cooking": N_("Cooking"),
}
LANGUAGES = {"ko": N_("Korean"), "en": N_("English")}
LEVELS = {
    "beginner": N_("Beginner"),
    "intermediate": N_("Intermediate"),
    "advanced": N_("Advanced"),
}
PRICES = {"free": N_("Free"), "paid": N_("Paid")}
SORTS = {"newest": N_("Newest"), "popular": N_("Most learners")}

VOCABULARY = {**CATEGORIES, **LANGUAGES, **LEVELS, **PRICES, **SORTS}
