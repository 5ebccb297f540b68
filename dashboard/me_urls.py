"""Paths of the page on which people say how they can be reached."""

from django.urls import path

from dashboard import absence, me, security

urlpatterns = [
    path("", me.page, name="me"),
    path("add/<slug:kind>/", me.add, name="me-add"),
    path("start/<slug:kind>/", me.start, name="me-start"),
    path("confirm/<str:token>/", me.confirm, name="me-confirm"),
    path("absence/", absence.page, name="absence"),
    path("absence/<uuid:absence_id>/end/", absence.end, name="absence-end"),
    path("hours/", absence.hours, name="hours"),
    path("security/", security.page, name="security"),
    path("security/app/", security.totp, name="security-totp"),
    path("security/passkey/", security.passkey, name="security-passkey"),
    path("security/codes/", security.codes, name="security-codes"),
    path("security/go-on/", security.go_on, name="security-go-on"),
    path("security/<int:factor_id>/remove/", security.remove, name="security-remove"),
    path("<int:point_id>/again/", me.again, name="me-again"),
    path("<int:point_id>/code/", me.code, name="me-code"),
    path("<int:point_id>/use/", me.use, name="me-use"),
    path("<int:point_id>/move/", me.move, name="me-move"),
    path("<int:point_id>/test/", me.test, name="me-test"),
    path("<int:point_id>/remove/", me.remove, name="me-remove"),
]
