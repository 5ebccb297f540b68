"""Who is who: people and their contact points, teams, agents and their keys.

A team is the boundary of visibility: everything else belongs to exactly one.
"""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from hitl.lib.actor import Actor
from hitl.lib.models import Identified, uuid7


class UserManager(BaseUserManager["User"]):
    """Makes users known by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractUser):
    """A person. Logs in with the e-mail address; `name` is what others see."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    calendar = models.JSONField(
        null=True, blank=True, help_text="Quiet and working hours: when reminders are welcome."
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[misc,assignment]

    class Meta:
        ordering = ("email",)
        constraints = (models.UniqueConstraint(Lower("email"), name="user_email_any_case"),)

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)

    @property
    def actor(self) -> Actor:
        return Actor(kind="user", id=str(self.pk), name=str(self))


class Team(Identified):
    """A group that shares agents, action types, policies and requests; sees no other team's."""

    class LinkDecisions(models.TextChoices):
        """Up to which risk the link in a mail is enough to decide, without logging in."""

        OFF = "off", "never: always log in"
        LOW = "low", "low risk only"
        MEDIUM = "medium", "low and medium risk"

    name = models.CharField(max_length=80)
    slug = models.SlugField(unique=True)
    link_decisions = models.CharField(
        max_length=10,
        choices=LinkDecisions,
        default=LinkDecisions.MEDIUM,
        help_text="A mailed link proves the mailbox only. High risk always asks to log in.",
    )
    allow_guests = models.BooleanField(
        default=False,
        help_text="Agents may name people without an account as approvers: they are reached by "
        "mail and decide by its link, as far as links may decide.",
    )
    members: "models.ManyToManyField[User, Membership]" = models.ManyToManyField(
        User, through="Membership", related_name="teams"
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do; each includes the ones before it."""

    VIEWER = "viewer", "Viewer"
    APPROVER = "approver", "Approver"
    MANAGER = "manager", "Manager"


class Membership(models.Model):
    """One person in one team with one role."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.APPROVER)
    # Links and buttons from before this moment are void: a right that was taken away and given
    # back comes with new ones.
    role_since = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("team", "user"), name="one_role_per_team"),)

    def __str__(self) -> str:
        return f"{self.user} ({self.role}, {self.team})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Note since when the role holds."""
        before = Membership.objects.filter(pk=self.pk).values_list("role", flat=True).first()
        if before is not None and before != self.role:
            self.role_since = timezone.now()
            fields = kwargs.get("update_fields")
            if fields is not None:
                kwargs["update_fields"] = {*fields, "role_since"}
        super().save(*args, **kwargs)

    @property
    def may_decide(self) -> bool:
        return self.role in (Role.APPROVER, Role.MANAGER)


class Group(Identified):
    """Some members of a team whom policies call by one name, like Finance."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="groups")
    name = models.CharField(max_length=80)
    slug = models.SlugField()
    members: "models.ManyToManyField[User, Any]" = models.ManyToManyField(
        User, related_name="approver_groups", blank=True
    )

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("team", "slug"), name="group_in_team"),)

    def __str__(self) -> str:
        return self.name


class Absence(Identified):
    """A person is away from `start` until just before `end` (empty: until they come back).

    The delegate stands in wherever both may decide; without one, the person is asked all the same.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="absences")
    delegate = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="stands_in_for"
    )
    start = models.DateTimeField()
    end = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ("-start",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(end__isnull=True) | models.Q(end__gt=models.F("start")),
                name="absence_ends_after_it_starts",
                violation_error_message="It has to end after it starts.",
            ),
            models.CheckConstraint(
                condition=~models.Q(delegate=models.F("user")),
                name="nobody_stands_in_for_themselves",
                violation_error_message="Name somebody else.",
            ),
        )
        indexes = (models.Index(fields=("user", "start"), name="absence_of_user"),)

    def __str__(self) -> str:
        return f"{self.user} is away"


class ContactPoint(models.Model):
    """Where a person can be reached. Lower `position` is preferred; only verified ones are used."""

    class Kind(models.TextChoices):
        """The kinds that ship. The field takes any, so that a new channel needs no migration."""

        EMAIL = "email", "E-mail"
        SLACK = "slack", "Slack"
        PHONE = "phone", "Phone"
        TELEGRAM = "telegram", "Telegram"

    class Use(models.TextChoices):
        ALWAYS = "always", "Always"
        FALLBACK = "fallback", "When the others fail"
        OFF = "off", "Never"

    user = models.ForeignKey(User, models.CASCADE, related_name="contact_points")
    kind = models.CharField(max_length=20)
    use = models.CharField(max_length=10, choices=Use, default=Use.ALWAYS)
    address = models.CharField(max_length=254)
    position = models.PositiveSmallIntegerField(default=0)
    verified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("position", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("user", "kind", "address"), name="contact_point_once_a_person"
            ),
            # Only once proved: claiming an address must not keep its owner from using it.
            models.UniqueConstraint(
                fields=("kind", "address"),
                condition=models.Q(verified_at__isnull=False),
                name="contact_point_is_one_person",
                violation_error_message="This address belongs to somebody else.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.address}"


class Agent(Identified):
    """A program that asks. `owner` is the person answerable for it, who may not approve for it."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="agents")
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="agents"
    )
    is_active = models.BooleanField(default=True)

    # What Django REST framework asks of a principal.
    is_authenticated = True
    is_anonymous = False

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("team", "name"), name="agent_name_in_team"),)

    def __str__(self) -> str:
        return self.name

    @property
    def actor(self) -> Actor:
        return Actor(kind="agent", id=str(self.pk), name=self.name)


class ApiKey(Identified):
    """A key of an agent. Only its SHA-256 is kept; `prefix` tells keys apart on screen."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80, blank=True)
    prefix = models.CharField(max_length=20, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.agent})"

    @property
    def is_usable(self) -> bool:
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired and self.agent.is_active


class Tries(models.Model):
    """Wrong guesses at a password or a code; see `tries`. The key is a hash: whose, and at what."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(db_index=True)
    blocked_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "tries"

    def __str__(self) -> str:
        return f"{self.count} tries, {self.key[:8]}…"
