package localslack

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
)

func TestMrkdwn(t *testing.T) {
	n := names{user: func(id string) string { return map[string]string{"U1": "dana"}[id] }, channel: func(string) string { return "prod" }}
	for in, want := range map[string]string{
		"*bold* _it_ ~gone~ `code`":           "<strong>bold</strong> <em>it</em> <s>gone</s> <code>code</code>",
		"snake_case_name 2*3*4":               "snake_case_name 2*3*4",
		"*a _b_*":                             "<strong>a <em>b</em></strong>",
		"a &amp; &lt;b&gt; & <":               "a &amp; &lt;b&gt; &amp; &lt;",
		"```SELECT *\nFROM t```":              "<pre>SELECT *\nFROM t</pre>",
		"```\na```\nafter":                    "<pre>a</pre>after",
		"`*not bold*`":                        "<code>*not bold*</code>",
		"<https://a.example/?a=1&amp;b|link>": `<a href="https://a.example/?a=1&amp;b" rel="noreferrer noopener" target="_blank">link</a>`,
		"<javascript:alert(1)|link>":          "&lt;javascript:alert(1)|link&gt;",
		"<@U1> <#C1> <!here>":                 `<span class="mention">@dana</span> <span class="mention">#prod</span> <span class="mention">@here</span>`,
		"<!date^1800000000^{time}|noon>":      `<time data-unix="1800000000" data-format="{time}">noon</time>`,
		"<!date^x&quot;^{time}|noon>":         "noon",
		"&gt; quoted\nnot":                    "<blockquote>quoted</blockquote>not",
		"one\ntwo":                            "one<br>two",
		":bell: a:b: 10:30":                   "🔔 a:b: 10:30",
		"\"quotes\" 'single'":                 "&#34;quotes&#34; &#39;single&#39;",
	} {
		if got := string(mrkdwn(in, n)); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func TestStatesAreDrawn(t *testing.T) {
	if got := string(mrkdwn(":white_check_mark: done", names{})); !strings.HasPrefix(got, `<svg class="emoji"`) || !strings.HasSuffix(got, "</svg> done") {
		t.Fatal(got)
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") && !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s without a content security policy", address)
	}
	return string(raw)
}

func TestPageShowsTheChannel(t *testing.T) {
	w, api := start(t, options())
	postButtons(t, api)
	if _, err := api.PostEphemeral("C0PROD", "U0KIM", slack.MsgOptionText("only for kim", false)); err != nil {
		t.Fatal(err)
	}
	page := get(t, w.URL()+"/?channel=C0PROD&user=U0DANA")
	for _, want := range []string{"<strong>hello</strong>", `data-action="approve"`, "Dana Weiss", "button primary"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Contains(page, "only for kim") {
		t.Error("dana sees kim's ephemeral message")
	}
	if kim := get(t, w.URL()+"/fragment?channel=C0PROD&user=U0KIM"); !strings.Contains(kim, "only for kim") {
		t.Error("kim does not see it")
	}
	if _, _, err := api.PostMessage("C0DBA", slack.MsgOptionText("secret", false)); err != nil {
		t.Fatal(err)
	}
	if kim := get(t, w.URL()+"/fragment?channel=C0DBA&user=U0KIM"); strings.Contains(kim, "secret") {
		t.Error("kim sees a channel she is not in")
	}
	for _, file := range []string{"page.js", "page.css"} {
		if len(get(t, w.URL()+"/page/"+file)) < 1000 {
			t.Errorf("%s is not served", file)
		}
	}
}

// Everything that an app or a user can put on the page stays text.
func TestRedteam32_HostileTextStaysText(t *testing.T) {
	o := options()
	evil := `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	o.Users[0].RealName, o.Channels[0].Topic, o.Team.Name = evil, evil, evil
	w, api := start(t, o)
	confirm := slack.NewConfirmationBlockObject(plainText(evil), slack.NewTextBlockObject(slack.MarkdownType, evil, false, false), plainText("<b>"), plainText("<i>"))
	button := slack.NewButtonBlockElement(evil, evil, plainText(evil)).WithConfirm(confirm)
	if _, _, err := api.PostMessage("C0PROD", slack.MsgOptionText(evil, false), slack.MsgOptionBlocks(
		slack.NewHeaderBlock(plainText(evil)), slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, "```"+evil+"``` *"+evil+"*", false, false), nil, nil),
		slack.NewActionBlock(evil, button),
	)); err != nil {
		t.Fatal(err)
	}
	page := get(t, w.URL()+"/?channel=C0PROD&user=U0DANA")
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
		t.Fatal("markup came through")
	}
}

func TestPageIsLive(t *testing.T) {
	w, api := start(t, options())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL()+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Scan() // retry: the subscription stands
	postButtons(t, api)
	for lines.Scan() {
		if lines.Text() == "data: C0PROD" {
			return
		}
	}
	t.Fatal("the page heard nothing")
}
