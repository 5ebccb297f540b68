"""The door: password, then the second factor of those who have one. Guessing is made slow."""

from typing import Any

from allauth.account.utils import perform_login
from allauth.mfa.base.views import AuthenticateView
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from dashboard.passkeys import options
from hitl.accounts import factors, tries
from hitl.lib import peers

# From one address a few wrong passwords are free. From all of them together more, so that nobody
# is locked out by strangers at once (NIST SP 800-63B, 3.2.2: no more than 100).
FREE_FROM_ANYWHERE = 100


class Login(LoginView):
    """E-mail address and password."""

    template_name = "registration/login.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            for what, whose, free in _counted(request):
                tries.begin(what, whose, free=free)
        except tries.TooManyTries as error:
            context = self.get_context_data(form=self.form_class(request), refused=error)
            response = self.render_to_response(context, status=error.status)
            response.headers["Retry-After"] = str(error.wait)
            return response
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        for what, whose, _ in _counted(self.request):
            tries.forgive(what, whose)
        user = form.get_user()
        answer: HttpResponse = perform_login(
            self.request, user, email_verification="none", redirect_url=self.get_success_url()
        )
        return answer


def _counted(request: HttpRequest) -> list[tuple[str, str, int]]:
    account = request.POST.get("username", "").strip().lower()
    return [
        ("login", f"{account}\n{peers.network(request)}", tries.FREE),
        ("login-from-anywhere", account, FREE_FROM_ANYWHERE),
    ]


@method_decorator(sensitive_post_parameters("code", "credential"), name="dispatch")
class SecondFactor(AuthenticateView):  # type: ignore[misc]  # published without types
    """A code or a passkey, of somebody whose password was right; allauth remembers whose."""

    template_name = "registration/second_factor.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        user = self.stage.login.user
        mine = factors.of(user)
        return context | {
            "who": user,
            "owned": mine,
            "passkey": options(context["js_data"]["request_options"]) if mine.passkeys else "",
            "code_form": context["form"],
            "passkey_form": context["webauthn_form"],
        }


login = Login.as_view()
second_factor = SecondFactor.as_view()
