"""Every case of failure and attack of the membership service, what happens then, and the tests that show it.

The manual has the same table (docs/security.md); a case without a test, or with one that is not there, fails here.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AA, CASES_AA = "vomsdb/test_attribute_authority", "vomsdb/test_attribute_cases"
TRUST, TLS, AGENT = "hanse/test_identity_trust", "hanse/test_identity_tls", "siteagent/test_apply"


@dataclass(frozen=True)
class Case:
    """What happens or is tried, what comes of it, and the tests: file under tests/ without .py, and names."""

    case: str
    expected: str
    tests: tuple[tuple[str, tuple[str, ...]], ...]


def _case(case: str, expected: str, *tests: tuple[str, ...]) -> Case:
    return Case(case, expected, tuple((file, names) for file, *names in tests))  # type: ignore[misc]


TABLE = (
    _case(
        "Headers that claim an identity",
        "ignored: the identity comes from the TLS connection alone",
        (AA, "test_names_in_headers_count_for_nothing"),
        ("vomsdb/test_api", "test_names_in_headers_make_nobody_a_manager"),
        ("hanse/test_web_tls", "test_headers_that_claim_an_identity_are_not_read_on_the_tls_side_either"),
    ),
    _case(
        "Certificate expired or not yet valid",
        "403 in words from the attribute authority, a TLS alert elsewhere",
        (CASES_AA, "test_a_certificate_or_proxy_that_does_not_hold_gets_nothing"),
        (TRUST, "test_expired_and_not_yet_valid"),
        (TLS, "test_expired_and_foreign_certificates_are_turned_away"),
    ),
    _case(
        "Certificate revoked, also behind a proxy",
        "the same, from the next look at the list on (1 s); both clients show the reason",
        (AA, "test_a_revoked_certificate_gets_nothing_also_behind_a_proxy"),
        (CASES_AA, "test_a_revoked_certificate_reads_why_in_both_clients"),
        (TRUST, "test_a_revoked_certificate_is_refused_also_behind_proxies"),
    ),
    _case(
        "Intermediate CA revoked",
        "refused, also behind a proxy",
        (TRUST, "test_a_revoked_intermediate_is_refused_also_behind_a_proxy"),
    ),
    _case(
        "Revocation list missing, expired or signed by another",
        "closed for everybody of that CA, with the reason; alarm",
        (CASES_AA, "test_without_a_good_revocation_list_nobody_gets_anything"),
        (TRUST, "test_without_a_good_revocation_list_nobody_is_trusted", "test_freshness_is_told_for_every_ca"),
        (TLS, "test_without_a_current_list_nobody_with_a_certificate_gets_in"),
    ),
    _case(
        "Proxy signed by another user's certificate",
        "refused",
        (CASES_AA, "test_a_certificate_or_proxy_that_does_not_hold_gets_nothing"),
        (TRUST, "test_a_proxy_signed_by_another_users_key", "test_a_proxy_named_after_somebody_else"),
    ),
    _case(
        "Path length of a proxy exceeded",
        "refused",
        (CASES_AA, "test_a_certificate_or_proxy_that_does_not_hold_gets_nothing"),
        (TRUST, "test_the_path_length_of_a_proxy"),
    ),
    _case(
        "Proxy that outlives its owner's certificate, proxy of a proxy",
        "taken for the owner; everything ends with the shortest",
        (CASES_AA, "test_a_proxy_of_a_proxy_is_its_owner_and_ends_with_the_shorter"),
        (TRUST, "test_the_earliest_end_counts_and_our_proxies_never_outlive_their_owner"),
        (AA, "test_a_proxy_is_taken_for_its_owner"),
    ),
    _case(
        "Limited proxy",
        "signs in as its owner; gets no attribute certificate",
        (AA, "test_a_limited_proxy_gets_nothing"),
        (TRUST, "test_a_limited_proxy_is_told_apart_and_stays_limited"),
    ),
    _case(
        "Suspended, expired, AUP unsigned, removed; also with a second certificate or an old one in the proxy",
        "403 with the reason, in REST and the older form; both clients show it",
        (CASES_AA, "test_who_may_not_act_reads_why_with_each_certificate_and_an_old_proxy"),
        (AA, "test_a_suspended_member_reads_the_reason", "test_somebody_who_is_no_member_is_told_so"),
    ),
    _case(
        "Only one of two certificates suspended",
        "that one 403, the other one works",
        (CASES_AA, "test_of_two_certificates_only_the_suspended_one_is_refused"),
    ),
    _case(
        "Proxy that carries attribute certificates already",
        "no more than they name",
        (AA, "test_a_proxy_given_away_with_a_group_does_not_get_the_role"),
    ),
    _case(
        "Suspension between check and signature",
        "nothing is handed out after it is committed",
        ("vomsdb/test_concurrency", "test_no_certificate_is_handed_out_after_a_suspension"),
    ),
    _case(
        "Same name from another CA",
        "somebody unknown, until linked by who may",
        (AA, "test_the_same_name_from_another_ca_is_somebody_else"),
        ("vomsdb/test_applications", "test_the_same_name_from_another_ca_is_another_person_and_is_pointed_out"),
        ("vomsdb/test_certificates", "test_the_same_subject_from_another_ca_is_somebody_else_until_linked"),
    ),
    _case(
        "FQAN outside the VO, .., %2F, line ends, doubles, none, capabilities, thousands",
        "decoded once, then 400 or made regular; never in a certificate",
        (AA, "test_what_cannot_be_given_is_refused_in_words"),
        (CASES_AA, "test_odd_lists_of_fqans", "test_ten_thousand_fqans_and_a_megabyte_are_refused_unread"),
        ("vomsdb/test_attribute_certificates", "test_nothing_outside_the_vo_gets_in"),
    ),
    _case(
        "Role asked for and not held",
        "400, no silent subset",
        (AA, "test_a_role_not_held_fails_with_the_words_of_the_server"),
    ),
    _case(
        "Lifetime negative, huge, no number; unknown parameters",
        "400, or capped with a warning; unknown ones ignored",
        (
            AA,
            "test_what_cannot_be_given_is_refused_in_words",
            "test_a_long_life_is_capped_and_unknown_parameters_are_ignored",
        ),
    ),
    _case(
        "Membership ends within the lifetime",
        "capped, with the warning that both clients show",
        (AA, "test_an_end_of_membership_shortens_the_certificate_with_a_warning"),
    ),
    _case(
        "Confirmation link fetched by a mail scanner",
        "nothing changes: it takes a POST",
        ("vomsdb/test_pages", "test_from_the_form_to_the_membership"),
    ),
    _case(
        "Confirmation token used again, old, or unknown",
        "refused",
        ("vomsdb/test_applications", "test_a_token_works_once",
         "test_a_token_that_is_old_or_unknown_confirms_nothing"),
    ),
    _case(
        "Approval or replication document sent again",
        "refused, or changes nothing",
        ("vomsdb/test_applications", "test_of_two_managers_at_once_the_first_wins_and_the_second_is_told"),
        ("siteagent/test_deltas", "test_an_old_offer_sent_again_changes_nothing"),
        (AGENT, "test_an_older_state_is_refused"),
    ),
    _case(
        "Manager of one VO decides in another",
        "403 or 404, and no change",
        ("vomsdb/test_member_requests", "test_a_manager_of_another_vo_decides_nothing"),
        ("vomsdb/test_applications", "test_a_request_cannot_be_decided_under_another_vo"),
    ),
    _case(
        "Somebody decides their own request, also by another certificate",
        "403",
        ("vomsdb/test_applications", "test_nobody_decides_about_their_own_request",
         "test_a_manager_with_a_second_certificate_is_still_the_applicant"),
        ("vomsdb/test_certificates",
         "test_nobody_decides_their_own_request_with_a_certificate_of_another_vo"),
    ),
    _case(
        "Manager enters themselves, or a member of another VO, by SCIM or VOMS-Admin's calls",
        "409",
        ("vomsdb/test_scim", "test_what_cannot_be_a_member_is_refused"),
        ("vomsdb/test_voms_admin", "test_nobody_is_entered_who_has_to_apply"),
    ),
    _case(
        "Manager of a group climbs",
        "403",
        ("vomsdb/test_member_requests", "test_a_group_manager_decides_nothing_beside_or_above_the_group",
         "test_a_manager_of_a_subgroup_brings_nobody_into_the_group_above",
         "test_a_group_manager_gives_nothing_to_themselves_and_appoints_nobody"),
    ),
    _case(
        "Form or call from another web site",
        "403",
        ("vomsdb/test_pages", "test_a_form_from_elsewhere_changes_nothing"),
        ("vomsdb/test_api", "test_an_api_call_from_another_web_site_is_refused"),
    ),
    _case(
        "Two managers decide at once",
        "the first wins, the second is told",
        ("vomsdb/test_applications", "test_of_two_managers_at_once_the_first_wins_and_the_second_is_told"),
        ("vomsdb/test_member_requests", "test_of_two_managers_at_once_one_decides_and_the_other_is_told"),
    ),
    _case(
        "Request expired",
        "refused, and the applicant is told",
        ("vomsdb/test_applications", "test_requests_that_nobody_confirms_or_decides_expire_and_say_so"),
        ("vomsdb/test_member_requests", "test_nobody_decides_in_time_and_the_request_expires"),
    ),
    _case(
        "Certificate that is in another account",
        "refused until both are linked",
        ("vomsdb/test_certificates", "test_two_people_become_one_by_who_may_in_every_vo"),
    ),
    _case(
        "Site out of reach for three days",
        "caught up in one step",
        ("siteagent/test_deltas", "test_three_days_of_outage_are_caught_up_in_one_step"),
        ("vomsdb/test_replication", "test_a_push_is_repeated_ever_more_rarely_until_the_site_confirms"),
    ),
    _case(
        "Fetch broken in the middle",
        "goes on where it broke; the old state stays meanwhile",
        ("siteagent/test_deltas", "test_a_fetch_that_broke_goes_on_where_it_broke"),
        (AGENT, "test_an_unwritable_target_keeps_the_last_good_state"),
    ),
    _case(
        "Agent killed at any step of applying",
        "the old or the new state, never half",
        ("siteagent/test_crash", "test_a_kill_at_every_step_leaves_old_or_new",
         "test_a_reader_never_sees_half_a_file_whenever_the_writer_is_killed"),
    ),
    _case(
        "Older snapshot, another site's, another VO's, wrong key",
        "refused and reported",
        (AGENT, "test_an_older_state_is_refused", "test_a_manifest_not_meant_for_this_site_and_moment_is_refused",
         "test_a_snapshot_of_another_vo_is_refused", "test_a_document_of_another_key_is_refused"),
    ),
    _case(
        "Key of the documents renewed; signature by a retired one",
        "both hold meanwhile; the retired one is believed no more",
        ("siteagent/test_keys", "test_the_next_key_is_learnt_before_it_signs",
         "test_a_retired_key_signs_nothing_more_and_what_is_held_stays"),
    ),
    _case(
        "Clock of the site off by a day",
        "told; the last good state stays",
        ("siteagent/test_deltas", "test_a_clock_a_day_behind_is_told_and_keeps_the_last_good_state",
         "test_a_clock_a_day_ahead_ends_access_a_day_early_and_no_sooner"),
    ),
    _case(
        "Site edits its file",
        "another hash at the next report; put right",
        ("vomsdb/test_replication", "test_a_site_that_edits_its_file_shows"),
        (AGENT, "test_a_file_changed_by_another_hand_is_told_with_another_hash_and_put_right"),
    ),
    _case(
        "Most members removed at once, or all",
        "a person at the site must confirm",
        (AGENT, "test_a_mass_removal_waits_for_a_person",
         "test_an_empty_vo_is_guarded_too_but_a_small_change_is_not"),
    ),
    _case(
        "Two schedulers",
        "each thing is done once",
        ("hanse/test_jobs", "test_a_second_scheduler_waits_and_takes_over"),
        ("vomsdb/test_replication_deltas", "test_two_schedulers_push_to_a_site_once"),
    ),
    _case(
        "Member removed and let in again; name moves to another; site leaves the registry",
        "a new entry; no double rights; the feed stops and entries end",
        ("vomsdb/test_replication_deltas", "test_a_member_removed_and_let_in_again_is_another_member",
         "test_a_certificate_that_moves_to_another_member_stands_once",
         "test_a_site_that_leaves_the_registry_hears_nothing_more"),
    ),
    _case(
        "Key of the attribute authority readable by others",
        "it does not start",
        (AA, "test_a_key_that_others_can_read_is_not_used"),
    ),
    _case(
        "Key of the attribute authority renewed",
        "in place, by a second host, or at a moment; both clients go on",
        ("vomsdb/test_attribute_keys", "test_a_second_host_serves_beside_the_first",
         "test_from_the_agreed_moment_the_same_host_signs_with_the_next_key",
         "test_a_certificate_renewed_in_its_place_is_read_without_a_restart"),
    ),
    _case(
        "Certificate of the attribute authority about to end",
        "page and metric warn 30 days before",
        ("vomsdb/test_attribute_keys",
         "test_the_page_warns_before_a_certificate_ends_and_the_metric_counts_down"),
    ),
    _case(
        "Slow clients after the first byte, 200 of them",
        "let go after their time; the next one is served",
        (AA, "test_two_hundred_silent_clients_leave_the_next_one_unhindered",
         "test_a_client_that_stops_in_the_middle_is_let_go"),
        (CASES_AA, "test_two_hundred_that_say_zero_and_no_more_leave_the_next_one_unhindered"),
    ),
    _case(
        "No client certificate",
        "403 in words",
        (AA, "test_without_a_certificate_the_answer_says_so"),
    ),
    _case(
        "Request of a megabyte",
        "refused after 64 KiB",
        (AA, "test_a_request_without_end_is_cut_off"),
        (CASES_AA, "test_ten_thousand_fqans_and_a_megabyte_are_refused_unread"),
    ),
    _case(
        "Names with slash, plus, comma, e-mail, letters outside ASCII; robots",
        "certificates that both clients verify",
        (CASES_AA, "test_names_that_break_others_get_a_certificate_that_verifies",
         "test_the_clients_take_names_that_break_others",
         "test_the_java_client_takes_a_robot_with_an_address_in_its_name"),
    ),
)  # fmt: skip


@cache
def _tests_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.case[:40])
def test_each_case_has_its_tests(case: Case) -> None:
    assert case.tests
    for file, names in case.tests:
        assert names
        for name in names:
            assert name in _tests_of(file), f"tests/{file}.py has no {name}"


def test_the_manual_has_the_same_table() -> None:
    rows = [f"| {case.case} | {case.expected} |" for case in TABLE]
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    told = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| Case ")]
    assert told == rows
