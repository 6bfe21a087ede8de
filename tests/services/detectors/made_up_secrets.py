"""Values in the form of secrets, made when the tests run so that none stands in the repository."""

import random
import string

ALPHANUMERIC = string.ascii_letters + string.digits
HEXADECIMAL = "0123456789abcdef"
BASE32 = string.ascii_uppercase + "234567"


def random_text(length: int, *, alphabet: str = ALPHANUMERIC, seed: int = 1) -> str:
    return "".join(random.Random(f"{seed}/{length}/{alphabet}").choices(alphabet, k=length))


def provider_keys() -> dict[str, str]:
    """A key in the form of each provider."""
    return {
        "AWS": "AKIA" + random_text(16, alphabet=BASE32),
        "OpenAI": "sk-proj-" + random_text(48),
        "Anthropic": "sk-ant-api03-" + random_text(80),
        "OpenRouter": "sk-or-v1-" + random_text(64, alphabet=HEXADECIMAL),
        "GitHub": "ghp_" + random_text(36),
        "GitLab": "glpat-" + random_text(20),
        "Google": "AIza" + random_text(35),
        "Slack": f"xoxb-{random_text(12, alphabet=string.digits)}-{random_text(24)}",
        "Slack hook": f"https://hooks.slack.com/services/T{random_text(9)}/B{random_text(9)}/{random_text(24)}",
        "Stripe": "sk_live_" + random_text(24),
        "Hugging Face": "hf_" + random_text(34),
        "Google refresh token": "1//0" + random_text(60),
        "Firecrawl": "fc-" + random_text(32, alphabet=HEXADECIMAL),
        "SendGrid": f"SG.{random_text(22)}.{random_text(43)}",
        "npm": "npm_" + random_text(36),
        "Telegram": "123456789:AA" + random_text(33),
        "JSON web token": f"eyJ{random_text(20)}.eyJ{random_text(30)}.{random_text(43)}",
        "bcrypt": "$2b$12$" + random_text(53),
    }


def private_key() -> str:
    body = "\n".join(random_text(64, seed=line) for line in range(24))
    return f"-----BEGIN {'RSA'} PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
