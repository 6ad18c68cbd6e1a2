"""Where all is well a check says so, and leaves nothing behind."""

from __future__ import annotations

from commands.setup.checks.rig import Rig

from bzredis.store.acl import bridge as rules_of_bridge


async def test_all_is_well_and_nothing_is_left_behind(rig: Rig) -> None:
    found = await rig.all_of_it()
    assert {each.state for each in found.values()} == {"ok"}, found
    asked = {"stream ratings", "removed ratings", "rest consensus", "clock", "rights"}
    assert asked < found.keys()
    assert rig.client.dbsize() == 0
    assert not (rig.folder / "state").exists()
    assert not (rig.folder / "home").exists()


async def test_each_stream_is_left_in_good_order(rig: Rig) -> None:
    for _ in range(2):  # after an unclean end the next one would be turned away
        assert await rig.ill() == []
    assert [each.status for each in rig.simulator.attempts] == [101] * 6
    assert len(rig.simulator.requests) == 2 * 4
    assert all(each.page == 0 for each in rig.simulator.requests)


async def test_it_asks_for_a_page_at_the_most(rig: Rig) -> None:
    for faults in rig.simulator.rest_faults.values():
        faults.unfiltered = True
    assert await rig.ill() == []
    assert len(rig.simulator.requests) == 4


async def test_it_asks_for_no_more_than_would_run(rig: Rig) -> None:
    found = await rig.all_of_it(no_rest=True, stream=("insights",))
    names = {name for name in found if name.startswith(("stream", "rest", "removed"))}
    assert names == {"stream insights", "rest"}
    assert found["rest"].state == "skipped"
    assert found["clock"].state == "ok"  # by the handshake
    assert len(rig.simulator.attempts) == 1
    assert not rig.simulator.requests


async def test_the_smallest_rules_are_enough(rig: Rig) -> None:
    command = rules_of_bridge("bz").replace(">PASSWORD", ">pw")
    rig.client.execute_command(*command.split(" "))
    url = rig.server.url.replace("://", "://bzredis:pw@")
    found = await rig.all_of_it(redis=(url,))
    assert {each.state for each in found.values()} <= {"ok", "warning"}
    assert found["rights"].state == "ok"
    # CONFIG is not among them; INFO told enough.
    assert found["persistence"].state == "ok"
