// Debian's Chromium, as the page judge finds it, and what every look at the page is held to.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

function find_chromium() {
  for (const name of ["chromium-headless-shell", "chromium"])
    for (const place of process.env.PATH.split(delimiter)) {
      try {
        accessSync(join(place, name), constants.X_OK);
        return join(place, name);
      } catch {
        // Not there.
      }
    }
  throw new Error("Chromium is needed: apt-get install chromium-headless-shell");
}

export function launch() {
  return chromium.launch({ executablePath: find_chromium(), args: ["--disable-gpu", "--no-sandbox"] });
}

// A window that writes down what must not happen: requests to others, broken policies, errors in the script.
export async function open_window(browser, { width = 1280, height = 900, theme = "light", motion = "reduce", ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: motion, ...more });
  const page = await context.newPage();
  const sins = [];
  page.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol !== "data:" && hostname !== "127.0.0.1") sins.push(`asked ${request.url()}`);
  });
  page.on("pageerror", (error) => sins.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy|TrustedHTML|TrustedScript/.test(message.text())) sins.push(message.text());
  });
  page.on("dialog", (dialog) => {
    sins.push(`a script ran: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return { context, page, sins };
}
