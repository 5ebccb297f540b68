"""Paths of the page on which people say how they can be reached."""

from django.urls import path

from dashboard import me

urlpatterns = [
    path("", me.page, name="me"),
    path("add/<slug:kind>/", me.add, name="me-add"),
    path("start/<slug:kind>/", me.start, name="me-start"),
    path("confirm/<str:token>/", me.confirm, name="me-confirm"),
    path("<int:point_id>/again/", me.again, name="me-again"),
    path("<int:point_id>/code/", me.code, name="me-code"),
    path("<int:point_id>/use/", me.use, name="me-use"),
    path("<int:point_id>/move/", me.move, name="me-move"),
    path("<int:point_id>/test/", me.test, name="me-test"),
    path("<int:point_id>/remove/", me.remove, name="me-remove"),
]
