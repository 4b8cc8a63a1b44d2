"""Pages where another script defines `window.fbq` too: a plugin that waits for it, or a stub by `defineProperty`."""

import pytest
from polling import until
from shop_page import ASYNC, BASE, CALLS, LOAD, STUB, TAG, TRAP, script
from stage import Stage

# Does what Meta's plugin for WooCommerce does if a consent manager holds the base code: at load it waits for an
# assignment, turns the property back into a plain one, and sends the events that it had to hold.
PLUGIN = script("""
  function waitForPixel() {
    var assigned;
    Object.defineProperty(window, 'fbq', {
      configurable: true,
      enumerable: true,
      get: function () { return assigned },
      set: function (stub) {
        assigned = stub;
        Object.defineProperty(window, 'fbq', {value: stub, writable: true, configurable: true, enumerable: true});
        setTimeout(function () { fbq('track', 'ViewContent', {value: 1, currency: 'EUR'}, {eventID: 'woo.1'}) });
      },
    });
  }
  addEventListener('load', function () { if (!window.fbq) waitForPixel() });
""")
HELD = (BASE + CALLS).replace("<script>", '<script type="text/plain" class="blocked">')
GRANT = """document.querySelectorAll('.blocked').forEach((blocked) => {
  const live = document.createElement('script');
  live.text = blocked.text;
  blocked.replaceWith(live);
})"""
WAITING = "String((Object.getOwnPropertyDescriptor(window, 'fbq') || {}).set).includes('assigned')"
HEADS = {"alone": "", "sync": TAG, "trap": TRAP + ASYNC, "tag manager": "", "trap and tag manager": TRAP}
NAMES = ["Lead", "PageView", "ViewContent"]


async def show(here: Stage, placement: str) -> None:
    """Open the page with the tag in its place, up to the visitor's answer."""
    await here.show(HEADS[placement], HELD, PLUGIN)
    await here.page.wait_for_load_state("load")
    if "manager" in placement:
        await here.page.wait_for_function(WAITING)
        await here.page.add_script_tag(url="/k/m.js")


@pytest.mark.parametrize("placement", HEADS)
async def test_a_plugin_that_waits_for_the_pixel_is_served_and_mirrored(here: Stage, placement: str) -> None:
    """The plugin's own event fires wherever the tag stands, and all events are mirrored with their ids."""
    await show(here, placement)
    if placement == "alone":
        await here.page.wait_for_function(WAITING)
    else:
        await here.page.wait_for_function(f"!{WAITING}")
    await here.run(GRANT)
    await until(lambda: len(here.fired) == 3, what="all events fire")
    await here.settle(["fired"] if placement == "alone" else ["fired", "batches"])

    assert sorted(name for _, name, _ in here.fired_pairs) == NAMES
    if placement != "alone":
        assert here.fired_pairs == here.mirrored_pairs


@pytest.mark.parametrize("placement", ["sync", "trap"])
async def test_a_visitor_who_answers_at_once_is_mirrored(here: Stage, placement: str) -> None:
    """If the base code comes right after the plugin, all events are mirrored: the load of its script is soon enough."""
    at_once = script(f"addEventListener('load', function () {{ {GRANT} }})")
    await here.show(HEADS[placement], HELD, PLUGIN, at_once)
    await until(lambda: len(here.fired) == 3, what="all events fire")
    await here.settle()

    assert sorted(name for _, name, _ in here.mirrored_pairs) == NAMES
    assert here.fired_pairs == here.mirrored_pairs


DEFINED = STUB.replace("var n = window.fbq = function", "var n = function") + (
    "Object.defineProperty(window, 'fbq', {value: n, writable: true, configurable: true, enumerable: true});"
)


@pytest.mark.parametrize("placement", ["sync", "trap"])
@pytest.mark.parametrize("configurable", ["configurable: true", "configurable: false"])
async def test_a_stub_that_is_defined_and_not_assigned_is_heard(here: Stage, placement: str, configurable: str) -> None:
    """A stub that is set by `Object.defineProperty`, which bypasses any accessor, is heard all the same."""
    base = script(f"(function () {{ {DEFINED.replace('configurable: true', configurable)} {LOAD} }})()")
    await here.show(HEADS[placement], base, CALLS)
    await here.settle()

    assert sorted(name for _, name, _ in here.fired_pairs) == ["Lead", "PageView"]
    assert here.fired_pairs == here.mirrored_pairs


async def test_others_who_define_fbq_again_and_again_cost_nothing(here: Stage) -> None:
    """If another script redefines the property again and again, each event is still heard once, with one id."""
    again = """setInterval(function () {
      var d = Object.getOwnPropertyDescriptor(window, 'fbq');
      Object.defineProperty(window, 'fbq', {configurable: true, enumerable: true,
        get: function () { return d.get ? d.get() : d.value }, set: function (v) { d.set ? d.set(v) : (d.value = v) }});
    }, 10)"""
    await here.show(TAG, BASE, CALLS, script(again))
    await here.take_over()
    await here.page.evaluate("new Promise((done) => setTimeout(done, 1200))")
    await here.settle()

    assert here.fired_pairs == here.mirrored_pairs
