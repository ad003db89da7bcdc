"""Addresses of the pages that change DNS."""

from django.urls import include, path

from dnsops import dns_views, drill_views, move_views, sheet_views, start_views, views

app_name = "dnsops"
urlpatterns = [
    path("hostnames/<str:fqdn>/failover/", views.preflight, name="preflight"),
    path("hostnames/<str:fqdn>/dns/", dns_views.dns, name="dns"),
    path("hostnames/<str:fqdn>/drift/", dns_views.drift, name="drift"),
    path("hostnames/<str:fqdn>/drift/adopt/", dns_views.adopt, name="adopt"),
    path("hostnames/<str:fqdn>/readiness/", dns_views.readiness, name="readiness"),
    path("hostnames/<str:fqdn>/timeline/", views.timeline, name="timeline"),
    path("hostnames/<str:fqdn>/sheet/", sheet_views.sheet, name="sheet"),
    path("operations/sheets/", sheet_views.sheets, name="sheets"),
    path("operations/", views.operations, name="operations"),
    path("operations/<uuid:pk>/", views.operation, name="operation"),
    path("operations/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("operations/<uuid:pk>/done-by-hand/", views.done_by_hand, name="done-by-hand"),
    path("operations/<uuid:pk>/resolvers/", views.ask_resolvers, name="ask-resolvers"),
    path("operations/<uuid:pk>/verify-again/", views.verify_again, name="verify-again"),
    path("operations/<uuid:pk>/endpoints/", views.endpoints_moved, name="endpoints"),
    path("hostnames/<str:fqdn>/drill/", drill_views.new, name="drill-new"),
    path("hostnames/<str:fqdn>/drills/", drill_views.of_hostname, name="drills-of-hostname"),
    path("drills/", drill_views.drills, name="drills"),
    path("drills/summary/", drill_views.summary, name="drills-summary"),
    path("drills/<uuid:pk>/", drill_views.drill, name="drill"),
    path("drills/<uuid:pk>/back-now/", drill_views.back_now, name="drill-back"),
    path("estate/start/", start_views.choose, name="start"),
    path("estate/start/<slug:slug>/", start_views.enter, name="start-enter"),
    path("moves/", move_views.moves, name="moves"),
    path("moves/new/", move_views.new, name="move-new"),
    path("moves/<uuid:pk>/", move_views.move, name="move"),
    path("moves/<uuid:pk>/stop/", move_views.stop, name="move-stop"),
    path("moves/<uuid:pk>/resume/", move_views.resume, name="move-resume"),
    path("estate/dns/", include("dnsops.edit_urls")),
]
