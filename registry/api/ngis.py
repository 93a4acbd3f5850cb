"""/api/v1: NGIs and projects."""

from __future__ import annotations

from sqlalchemy import select

from hanse.identity.permissions import PUBLIC
from hanse.web import Api, PathModel, current_principal, ground
from registry import ngis, projects, states
from registry.api.answers import Body, Name, NgiPath, RemovalQuery, read_revision, with_revision
from registry.api.listing import Answer, Where, one_by_name, page_by_name
from registry.finding import holds
from registry.models import Ngi, Project, project_ngi
from registry.rights import EDIT_NGI, EDIT_PROJECT, RUN_FEDERATION
from registry.schemas.records import NgiQuery, ProjectEdit, ProjectIn, ProjectOut, ProjectPage, ProjectQuery
from registry.schemas.sites import NgiEdit, NgiIn, NgiOut, NgiPage, OneQuery

api = Api("registry_ngis", __name__, "NGIs and projects", csv=True)


class ProjectPath(PathModel):
    """A project by its name."""

    project: Name


@api.get("/ngis", permission=PUBLIC, summary="NGIs by name", responses={200: NgiPage}, revised=True)
def list_ngis(query: NgiQuery) -> Body:
    """With `project`, those that take part in it now; e-mail addresses are for those who are signed in."""
    return page_by_name("ngi", query, _ngi_filter(query), _ngi_answer)


def _ngi_filter(query: NgiQuery) -> Where:
    where = [] if query.scope is None else [holds("scopes", query.scope)]
    if query.project is not None:
        members = select(Ngi.name).join(project_ngi).join(Project).where(Project.name == query.project)
        where.append(states.text_of("name").in_(members))
    return where


@api.post("/ngis", permission=RUN_FEDERATION, summary="Register an NGI", responses={201: NgiOut})
def register_ngi(body: NgiIn) -> Answer:
    """A new NGI."""
    return _ngi(ngis.register(ground().db, current_principal(), body), status=201)


@api.get("/ngis/<ngi>", permission=PUBLIC, summary="One NGI", responses={200: NgiOut})
def one_ngi(path: NgiPath, query: OneQuery) -> Answer:
    """An NGI as it is, or as it was."""
    return _ngi(path.ngi, query.as_of)


@api.patch("/ngis/<ngi>", permission=EDIT_NGI, summary="Change an NGI", responses={200: NgiOut})
def change_ngi(path: NgiPath, body: NgiEdit) -> Answer:
    """Only the fields that are sent; with If-Match only when nobody was quicker."""
    return _ngi(ngis.edit(ground().db, current_principal(), path.ngi, body, read_revision()))


@api.put("/ngis/<ngi>", permission=RUN_FEDERATION, summary="Put an NGI in its place", responses={200: NgiOut})
def replace_ngi(path: NgiPath, body: NgiIn) -> Answer:
    """The whole NGI; a new name is passed on to its sites, projects and people."""
    return _ngi(ngis.replace(ground().db, current_principal(), path.ngi, body, read_revision()))


@api.delete("/ngis/<ngi>", permission=RUN_FEDERATION, summary="Remove an NGI", responses={204: None})
def remove_ngi(path: NgiPath, query: RemovalQuery) -> None:
    """Refused while it has sites or stands in a project."""
    ngis.remove(ground().db, current_principal(), path.ngi, query.reason, read_revision())


def _ngi(name: str, as_of: str | None = None, *, status: int = 200) -> Answer:
    return one_by_name("ngi", name, as_of, show=_ngi_answer, status=status)


def _ngi_answer(state: states.State) -> Body:
    body = with_revision(state)
    if current_principal().signed_in:
        return body
    return {key: None if key.endswith("email") else value for key, value in body.items()}


@api.get(
    "/projects", permission=PUBLIC, summary="Projects by name", responses={200: ProjectPage}, revised=True
)
def list_projects(query: ProjectQuery) -> Body:
    """With `ngi`, those in which it takes part."""
    return page_by_name("project", query, _project_filter(query))


def _project_filter(query: ProjectQuery) -> Where:
    return [] if query.ngi is None else [holds("ngis", query.ngi)]


@api.post("/projects", permission=RUN_FEDERATION, summary="Register a project", responses={201: ProjectOut})
def register_project(body: ProjectIn) -> Answer:
    """A new project with the NGIs that take part."""
    name = projects.register(ground().db, current_principal(), body)
    return one_by_name("project", name, status=201)


@api.get("/projects/<project>", permission=PUBLIC, summary="One project", responses={200: ProjectOut})
def one_project(path: ProjectPath, query: OneQuery) -> Answer:
    """A project as it is, or as it was."""
    return one_by_name("project", path.project, query.as_of)


@api.patch(
    "/projects/<project>", permission=EDIT_PROJECT, summary="Change a project", responses={200: ProjectOut}
)
def change_project(path: ProjectPath, body: ProjectEdit) -> Answer:
    """Only the fields that are sent; with If-Match only when nobody was quicker."""
    name = projects.edit(ground().db, current_principal(), path.project, body, read_revision())
    return one_by_name("project", name)


@api.delete(
    "/projects/<project>", permission=RUN_FEDERATION, summary="Remove a project", responses={204: None}
)
def remove_project(path: ProjectPath, query: RemovalQuery) -> None:
    """With the roles in it; its NGIs stay."""
    projects.remove(ground().db, current_principal(), path.project, query.reason, read_revision())
