"""Paths of the pages on which managers look after their team."""

from django.urls import path

from dashboard import groups, policies, rules, team_area

_POLICY = "<slug:slug>/policies/<uuid:policy_id>"

urlpatterns = [
    path("", team_area.start, name="team-area"),
    path("<slug:slug>/policies/", policies.index, name="policies"),
    path("<slug:slug>/policies/new/", policies.new, name="policy-new"),
    path(f"{_POLICY}/", policies.edit, name="policy"),
    path(f"{_POLICY}/use/", policies.use, name="policy-use"),
    path(f"{_POLICY}/history/", policies.history, name="policy-history"),
    path(
        f"{_POLICY}/history/<int:number>/restore/", policies.restore_version, name="policy-restore"
    ),
    path("<slug:slug>/rules/", rules.edit, name="rules"),
    path("<slug:slug>/rules/history/", rules.history, name="rules-history"),
    path("<slug:slug>/groups/", groups.index, name="groups"),
    path("<slug:slug>/groups/new/", groups.new, name="group-new"),
    path("<slug:slug>/groups/<uuid:group_id>/", groups.edit, name="group"),
    path("<slug:slug>/groups/<uuid:group_id>/delete/", groups.delete, name="group-delete"),
]
