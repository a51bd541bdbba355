"""What iam writes to people, in their language."""

from datetime import datetime, timedelta

from banyan.infra.mail import Mail
from banyan.kit import ids


def password_link(*, email: str, link: str, life: timedelta, locale: str, now: datetime) -> Mail:
    minutes = max(1, round(life.total_seconds() / 60))
    if locale == "ko":
        subject = "비밀번호를 새로 정하는 링크예요"
        body = (
            "안녕하세요.\n\n"
            f"아래 링크에서 새 비밀번호를 정할 수 있어요. 링크는 {minutes}분 동안 한 번만 열려요.\n\n{link}\n\n"
            "직접 요청하지 않았다면 이 메일은 지우셔도 돼요. 비밀번호는 그대로예요.\n"
        )
    else:
        subject = "Your link to set a new password"
        body = (
            "Hello,\n\n"
            f"set a new password here; the link works once, within {minutes} minutes:\n\n{link}\n\n"
            "If it was not you who asked, delete this mail. Your password is unchanged.\n"
        )
    return Mail(id=str(ids.uuid7()), recipient=email, subject=subject, body=body, at=now)
