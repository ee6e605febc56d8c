from tests.e2e.test_trading import confirm
from tests.e2e.test_looks import trouble
def test_shots(people):
    bad=[]
    person=people(reduced_motion="reduce").register()
    page=person.page
    person.go("/markets/AAPL/ticket?amount=5")
    page.get_by_role("button", name="Review order").last.click()
    confirm(page,"buy",live=True)
    for w,scheme,cls in ((1280,"light",0),(390,"dark",0),(320,"light",0)):
        page.set_viewport_size({"width":w,"height":1000}); page.emulate_media(color_scheme=scheme)
        person.go("/markets/AAPL"); page.wait_for_timeout(1500)
        if w==1280:
            page.get_by_role("button", name="Indicators").click(); page.wait_for_timeout(300)
            page.screenshot(path="/tmp/chart-pop.png")
            page.get_by_label("RSI 14").check(); page.get_by_label("SMA 20").check(); page.keyboard.press("Escape")
            page.get_by_role("button", name="Candles").click(); page.wait_for_timeout(1200)
        page.screenshot(path=f"/tmp/chart-{w}.png", full_page=True)
        page.wait_for_timeout(300)
        bad+=trouble(page, rules=w!=320)
        page.wait_for_timeout(500)
        bad+=trouble(page, rules=w!=320)
    person.go("/markets/AAPL/bars/table?range=1M"); bad+=trouble(page, rules=True); page.screenshot(path="/tmp/chart-table.png")
    print("BAD", "\n".join(bad))
