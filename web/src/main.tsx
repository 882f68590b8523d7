// Begins: the theme, the address, the window's size; then the page.
import { render } from "preact";
import { App } from "./shell/App";
import { follow_keys } from "./shell/keys";
import { follow_views, load_session } from "./shell/load";
import { follow_address } from "./router";
import { width } from "./store";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/bench.css";
import "./styles/run.css";
import "./styles/chat.css";
import "./styles/judge.css";
import { follow_theme } from "./theme";

follow_theme();
follow_address();
width.value = innerWidth;
addEventListener("resize", () => (width.value = innerWidth));
follow_keys();
void load_session();
follow_views();
render(<App />, document.getElementById("app")!);
