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

SHORTEST_PASSWORD = 8

# What iam and learning refuse, by the name of the rule, and what a form itself finds missing.
REFUSALS = {
    "email-missing": N_("Enter your e-mail address."),
    "password-missing": N_("Enter your password."),
    "email-not-usable": N_("This is not an e-mail address. One looks like name@example.com."),
    "email-taken": N_("There is an account with this address already. Sign in, or set a new password."),
    "name-not-usable": N_("Enter a name of 1 to 50 characters."),
    "password-not-usable": N_("Choose at least 8 characters, other than your e-mail address."),
    "wrong-credentials": N_("This e-mail address and this password do not belong together. Check both."),
    "wrong-password": N_("This is not your present password."),
    "not-sure": N_("Tick the box if you are sure."),
}
PROBLEMS = {
    "foreign-page": N_(
        "This form did not come from a page of ours, so nothing was done. If it was you, send it again."
    ),
    "sign-in-away": N_("Signing in is not possible just now. Everything else goes on; try again in a moment."),
    "account-away": N_("Your account cannot be changed just now. Nothing was changed; try again in a moment."),
    "too-many-attempts": N_("There were too many attempts. Wait a little, then try again."),
    "too-busy": N_("Very many people are signing in just now. Try again in a moment."),
    "unknown-wish": N_("This form is of an older page. Nothing was changed; try again."),
}
DONE = {
    "password": N_("Your new password is set. Sign in with it."),
    "left": N_("Your account is gone, with everything that was known about you."),
    "name": N_("Your name is changed."),
    "password-changed": N_("Your password is changed. All other devices were signed out."),
    "session": N_("That device is signed out."),
    "sessions": N_("All other devices are signed out."),
}
FIELD_OF = {
    "email-not-usable": "email",
    "email-taken": "email",
    "name-not-usable": "name",
    "password-not-usable": "password",
    "wrong-credentials": "password",
    "wrong-password": "old",
}

VOCABULARY = {**CATEGORIES, **LANGUAGES, **LEVELS, **PRICES, **SORTS, **REFUSALS, **PROBLEMS}
NEWS = {f"done-{code}": text for code, text in DONE.items()}
VOCABULARY |= NEWS


def problem(slug: str) -> str:
    """The name of the words for a refusal that is about no field."""
    return slug if slug in PROBLEMS else "unknown-wish"
