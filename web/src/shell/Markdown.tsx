// Markdown as elements: markdown-it gives tokens, and each becomes an element of ours. No text is ever read as HTML, and nothing
// that it names is fetched.
import { h, type ComponentChildren } from "preact";
import MarkdownIt, { type Token } from "markdown-it";

const kReader = new MarkdownIt({ html: false, linkify: false, breaks: true });
const kMost = 400_000; // characters; beyond them a text is shown as it is

const kTags = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "em", "strong", "s", "table", "thead", "tbody", "tr", "th", "td"]);

// An address is shown, to be copied: no click leads from a model's words to another place.
function link(token: Token, children: ComponentChildren): ComponentChildren {
  const address = String(token.attrGet("href") ?? "");
  return <span class="address">{children} <code>{address}</code></span>;
}

function leaf(token: Token): ComponentChildren {
  switch (token.type) {
    case "text":
      return token.content;
    case "softbreak":
    case "hardbreak":
      return <br />;
    case "code_inline":
      return <code>{token.content}</code>;
    case "code_block":
    case "fence":
      return <pre tabIndex={0}><code>{token.content}</code></pre>;
    case "hr":
      return <hr />;
    case "image":
      return <span class="address">[picture: {token.content}] <code>{String(token.attrGet("src") ?? "")}</code></span>;
    case "inline":
      return tree(token.children ?? []);
  }
  return token.content;
}

function tree(tokens: readonly Token[]): ComponentChildren[] {
  const root: ComponentChildren[] = [];
  const open: { token: Token; children: ComponentChildren[] }[] = [];
  const put = (child: ComponentChildren) => (open.at(-1)?.children ?? root).push(child);
  for (const token of tokens) {
    if (token.nesting === 1) {
      open.push({ token, children: [] });
    } else if (token.nesting === -1) {
      const { token: begun, children } = open.pop()!;
      if (begun.hidden) put(children);
      else if (begun.type === "link_open") put(link(begun, children));
      else put(h(kTags.has(begun.tag) ? begun.tag.replace(/^h[12]$/, "h3") : "div", null, children));
    } else {
      put(leaf(token));
    }
  }
  return root;
}

export function Markdown({ text }: { text: string }) {
  if (text.length > kMost) return <p class="pre-line">{text}</p>;
  return <>{tree(kReader.parse(text, {}))}</>;
}
