"""A NiceGUI page. Arguments: the port, and "reload" to have it reload, which is its default for programs."""

import sys

from nicegui import ui


@ui.page("/")
def page() -> None:
    label = ui.label("not clicked")
    ui.button("click", on_click=lambda: label.set_text("clicked"))


if __name__ in {"__main__", "__mp_main__"}:
    ui.run(host="127.0.0.1", port=int(sys.argv[1]), show=False, reload=sys.argv[2:] == ["reload"])
