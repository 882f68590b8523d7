// Sixty texts that want to be more than text. Each one that runs calls alert(), which a window of browser.mjs takes for a sin.
const run = "alert(1)";
export const corpus = [
  `<script>${run}</script>`, `<img src=x onerror=${run}>`, `<svg onload=${run}>`, `<svg><script>${run}</script></svg>`, `<body onload=${run}>`,
  `<iframe src="javascript:${run}">`, `<iframe srcdoc="<script>parent.${run}</script>">`, `<a href="javascript:${run}">click</a>`, `<details open ontoggle=${run}>`,
  `<video><source onerror=${run}></video>`, `<audio src=x onerror=${run}>`, `<input autofocus onfocus=${run}>`, `<select autofocus onfocus=${run}>`,
  `<marquee onstart=${run}>`, `<object data="javascript:${run}">`, `<embed src="javascript:${run}">`, `<math><mtext><img src=x onerror=${run}></mtext></math>`,
  `<form action="javascript:${run}"><button>go</button></form>`, `<button formaction="javascript:${run}">go</button>`, `<link rel=stylesheet href="http://evil.test/x.css">`,
  `<style>@import url(http://evil.test/x.css);</style>`, `<meta http-equiv=refresh content="0;url=http://evil.test/">`, `<base href="http://evil.test/">`,
  `</script><script>${run}</script>`, `</title><script>${run}</script>`, `</textarea><script>${run}</script>`, `</style><script>${run}</script>`, `--><script>${run}</script>`,
  `"><script>${run}</script>`, `'><img src=x onerror=${run}>`, `" onmouseover="${run}" x="`, `' onfocus='${run}' autofocus='`, "`-alert(1)-`", "${alert(1)}", "{{constructor.constructor('alert(1)')()}}",
  `[click](javascript:${run})`, `[click](JaVaScRiPt:${run})`, `[click](data:text/html,<script>${run}</script>)`, `[click](vbscript:${run})`, `![x](javascript:${run})`,
  `![x](http://evil.test/pixel.png)`, `[x]: javascript:${run}\n[click][x]`, `<javascript:${run}>`, `<http://evil.test/>`, `[a](http://evil.test/?q="onmouseover=${run})`,
  "```html\n<script>alert(1)</script>\n```", "`<img src=x onerror=alert(1)>`", `# <img src=x onerror=${run}>`, `| <script>${run}</script> | b |\n|---|---|\n| <img src=x onerror=${run}> | 2 |`,
  `&lt;script&gt;${run}&lt;/script&gt;`, `&#60;script&#62;${run}&#60;/script&#62;`, `%3Cscript%3E${run}%3C/script%3E`, `\u202e<script>${run}</script>\u202d`, `\ufeff<script>${run}</script>`,
  `<scr\0ipt>${run}</scr\0ipt>`, `<img\u2028src=x\u2029onerror=${run}>`, `<a href="java\tscript:${run}">x</a>`, `<svg><animate onbegin=${run} attributeName=x dur=1s>`,
  `<svg><use href="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' id='x' onload='${run}'/>#x">`, `../../etc/passwd\n<img src=x onerror=${run}>.html`,
];
