"""Addresses of the pages about the estate."""

from django.urls import include, path

from pools import views

app_name = "pools"
urlpatterns = [
    path("", views.overview_page, name="overview"),
    path("helpdesk/", views.helpdesk, name="helpdesk"),
    path("hostnames/<str:fqdn>/", views.hostname, name="hostname"),
    path("hostnames/<str:fqdn>/history/", views.history, name="history"),
    path("pools/<str:fqdn>/", views.trusted_application_pool, name="trusted-application-pool"),
    path("front-end-pools/<str:fqdn>/", views.front_end_pool, name="front-end-pool"),
    path("sites/<str:name>/", views.site, name="site"),
    path("history/bars/", views.bars, name="bars"),
    path("hostnames/<str:fqdn>/row/", views.row, name="row"),
    path("hostnames/<str:fqdn>/uccs/", views.uccs, name="hostname-uccs"),
    path("servers/<str:name>/", views.server, name="server"),
    path("virtual-services/<str:name>/", views.virtual_service, name="virtual-service"),
    path("maintenance/", include("pools.maintenance.urls")),
    path("clients/", include("pools.clients.urls")),
    path("certificates/", include("pools.certificates.urls")),
    path("estate/", include("pools.edit_urls")),
    path("estate/", include("pools.import_urls")),
]
