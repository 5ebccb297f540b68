"""Run as a program beside a server: adds people to its team. Arguments: name:role ..."""

import os
import sys
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")
django.setup()

from hitl.accounts.models import Role, Team, User  # noqa: E402  # needs the app registry
from hitl.accounts.services import add_member  # noqa: E402

if __name__ == "__main__":
    for entry in sys.argv[1:]:
        name, role = entry.split(":")
        email = f"{name.split()[0].lower()}@example.com"
        password = os.environ["HITL_BOOTSTRAP_PASSWORD"]
        user = User.objects.create_user(email, password, name=name)
        add_member(Team.objects.order_by("created_at")[0], user, Role(role))
