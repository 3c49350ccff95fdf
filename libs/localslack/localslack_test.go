package localslack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

func options() Options {
	return Options{
		Users: []User{
			{ID: "U0DANA", Name: "dana", RealName: "Dana Weiss"},
			{ID: "U0KIM", Name: "kim"},
			{ID: "U0GUEST", Name: "guest", SingleChannelGuest: true},
			{ID: "U0OUT", Name: "out", TeamID: "T0OTHER"},
		},
		Channels:   []Channel{{ID: "C0PROD", Name: "prod"}, {ID: "C0DBA", Name: "dba", Members: []string{"U0DANA"}}, {ID: "C0ELSE", Name: "else", NotMember: true}},
		Groups:     []Group{{ID: "S0DBA", Handle: "dba", Members: []string{"U0DANA", "U0KIM"}}},
		Unlimited:  true,
		AckTimeout: 300 * time.Millisecond,
	}
}

// start serves a workspace and returns it with slack-go pointed at it.
func start(t *testing.T, o Options) (*Workspace, *slack.Client) {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.setBase(l.Addr().String())
	return w, client(w, w.BotToken())
}

func client(w *Workspace, token string) *slack.Client {
	return slack.New(token, slack.OptionAppLevelToken(w.AppToken()), slack.OptionAPIURL(w.APIURL()))
}

// app runs a Socket Mode client that hands every interaction to handle.
func app(t *testing.T, w *Workspace, handle func(*socketmode.Client, socketmode.Event)) {
	t.Helper()
	before := w.Connections()
	c := socketmode.New(client(w, w.BotToken()), socketmode.OptionLog(quiet{}))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.RunContext(ctx) })
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-c.Events:
				if e.Type == socketmode.EventTypeInteractive {
					handle(c, e)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); w.DropConnections(); wg.Wait() })
	until(t, "a connection", func() bool { return w.Connections() > before })
}

// quiet is a logger for slack-go that says nothing.
type quiet struct{}

func (quiet) Output(int, string) error { return nil }

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("no %s in time", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func plainText(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
}

func buttons() slack.MsgOption {
	return slack.MsgOptionBlocks(
		slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, "*hello*", false, false), nil, nil),
		slack.NewActionBlock("acts", slack.NewButtonBlockElement("approve", "apr_1", plainText("Approve")).WithStyle(slack.StylePrimary)),
	)
}

func postButtons(t *testing.T, api *slack.Client) string {
	t.Helper()
	_, ts, err := api.PostMessage("C0PROD", slack.MsgOptionText("hello", false), buttons())
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func wantError(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || err.Error() != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func TestMessages(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	if _, _, _, err := api.UpdateMessage("C0PROD", ts, slack.MsgOptionText("done", false), slack.MsgOptionBlocks()); err != nil {
		t.Fatal(err)
	}
	if m := w.Messages("C0PROD"); len(m) != 1 || m[0].Text != "done" || string(m[0].Blocks) != "[]" || m[0].Edited == nil {
		t.Fatalf("got %+v", m)
	}
	if _, err := api.PostEphemeral("C0PROD", "U0KIM", slack.MsgOptionText("psst", false)); err != nil {
		t.Fatal(err)
	}
	if len(w.Ephemerals("C0PROD", "U0KIM")) != 1 || len(w.Ephemerals("C0PROD", "U0DANA")) != 0 {
		t.Fatal("an ephemeral message is for one user")
	}
	_, _, err := api.PostMessage("C0NONE", slack.MsgOptionText("x", false))
	wantError(t, err, "channel_not_found")
	_, _, err = api.PostMessage("C0ELSE", slack.MsgOptionText("x", false))
	wantError(t, err, "not_in_channel")
	_, _, err = api.PostMessage("C0PROD")
	wantError(t, err, "no_text")
	_, _, _, err = api.UpdateMessage("C0PROD", "1.000001", slack.MsgOptionText("x", false))
	wantError(t, err, "message_not_found")
	_, err = api.PostEphemeral("C0DBA", "U0KIM", slack.MsgOptionText("x", false))
	wantError(t, err, "user_not_in_channel")
	w.Archive("C0PROD", true)
	_, _, err = api.PostMessage("C0PROD", slack.MsgOptionText("x", false))
	wantError(t, err, "is_archived")
}

func TestHistoryCarriesMetadataWhenAsked(t *testing.T) {
	_, api := start(t, options())
	meta := slack.SlackMetadata{EventType: "gatestay", EventPayload: map[string]any{"id": "apr_1"}}
	for _, text := range []string{"one", "two", "three"} {
		if _, _, err := api.PostMessage("C0PROD", slack.MsgOptionText(text, false), slack.MsgOptionMetadata(meta)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: "C0PROD", Limit: 2, IncludeAllMetadata: true})
	if err != nil || len(got.Messages) != 2 || got.Messages[0].Text != "three" || !got.HasMore {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got.Messages[0].Metadata.EventPayload["id"] != "apr_1" {
		t.Fatalf("metadata: %+v", got.Messages[0].Metadata)
	}
	got, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: "C0PROD", Cursor: got.ResponseMetaData.NextCursor, Limit: 2})
	if err != nil || len(got.Messages) != 1 || got.Messages[0].Text != "one" || got.Messages[0].Metadata.EventType != "" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestDirectory(t *testing.T) {
	w, api := start(t, options())
	who, err := api.AuthTest()
	if err != nil || who.TeamID != w.TeamID() || who.BotID == "" {
		t.Fatalf("got %+v, %v", who, err)
	}
	guest, err := api.GetUserInfo("U0GUEST")
	if err != nil || !guest.IsRestricted || !guest.IsUltraRestricted {
		t.Fatalf("got %+v, %v", guest, err)
	}
	stranger, err := api.GetUserInfo("U0OUT")
	if err != nil || !stranger.IsStranger || stranger.TeamID != "T0OTHER" {
		t.Fatalf("got %+v, %v", stranger, err)
	}
	_, err = api.GetUserInfo("U0NONE")
	wantError(t, err, "user_not_found")
	users, err := api.GetUsers()
	if err != nil || len(users) != 5 { // with the app's own
		t.Fatalf("got %d, %v", len(users), err)
	}
	members, err := api.GetUserGroupMembers("S0DBA")
	if err != nil || strings.Join(members, " ") != "U0DANA U0KIM" {
		t.Fatalf("got %v, %v", members, err)
	}
	_, err = api.GetUserGroupMembers("S0NONE")
	wantError(t, err, "no_such_subteam")
	w.SetGroup(Group{ID: "S0OLD", Members: []string{"U0DANA"}, Disabled: true})
	_, err = api.GetUserGroupMembers("S0OLD")
	wantError(t, err, "no_such_subteam")
	channels, _, err := api.GetConversations(&slack.GetConversationsParameters{})
	if err != nil || len(channels) != 3 {
		t.Fatalf("got %v, %v", channels, err)
	}
	c, err := api.GetConversationInfo(&slack.GetConversationInfoInput{ChannelID: "C0PROD"})
	if err != nil || c.Name != "prod" || !c.IsMember {
		t.Fatalf("got %+v, %v", c, err)
	}
}

func TestTokens(t *testing.T) {
	w, api := start(t, options())
	for token, code := range map[string]string{"": "not_authed", "xoxb-wrong": "invalid_auth", w.AppToken(): "not_allowed_token_type"} {
		_, err := client(w, token).AuthTest()
		wantError(t, err, code)
	}
	_, _, err := slack.New("x", slack.OptionAppLevelToken(w.BotToken()), slack.OptionAPIURL(w.APIURL())).StartSocketModeContext(context.Background())
	wantError(t, err, "not_allowed_token_type")
	w.SetFaults(Faults{Revoked: true})
	_, err = api.AuthTest()
	wantError(t, err, "token_revoked")
}

func TestBlockLimits(t *testing.T) {
	_, api := start(t, options())
	long := func(n int) string { return strings.Repeat("é", n) } // characters, not bytes
	button := func(change func(*slack.ButtonBlockElement)) slack.Block {
		b := slack.NewButtonBlockElement("a", "v", plainText("ok"))
		change(b)
		return slack.NewActionBlock("", b)
	}
	section := func(n int) slack.Block {
		return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, long(n), false, false), nil, nil)
	}
	many := func(n int) []slack.Block {
		var all []slack.Block
		for range n {
			all = append(all, slack.NewDividerBlock())
		}
		return all
	}
	row := func(n int) slack.Block {
		var all []slack.BlockElement
		for i := range n {
			all = append(all, slack.NewButtonBlockElement(strings.Repeat("i", i+1), "v", plainText("ok")))
		}
		return slack.NewActionBlock("", all...)
	}
	for name, c := range map[string]struct {
		blocks []slack.Block
		ok     bool
	}{
		"50 blocks":            {many(50), true},
		"51 blocks":            {many(51), false},
		"section 3000":         {[]slack.Block{section(3000)}, true},
		"section 3001":         {[]slack.Block{section(3001)}, false},
		"section empty":        {[]slack.Block{section(0)}, false},
		"header 150":           {[]slack.Block{slack.NewHeaderBlock(plainText(long(150)))}, true},
		"header 151":           {[]slack.Block{slack.NewHeaderBlock(plainText(long(151)))}, false},
		"header in mrkdwn":     {[]slack.Block{slack.NewHeaderBlock(slack.NewTextBlockObject(slack.MarkdownType, "x", false, false))}, false},
		"value 2000":           {[]slack.Block{button(func(b *slack.ButtonBlockElement) { b.Value = long(2000) })}, true},
		"value 2001":           {[]slack.Block{button(func(b *slack.ButtonBlockElement) { b.Value = long(2001) })}, false},
		"action id 255":        {[]slack.Block{button(func(b *slack.ButtonBlockElement) { b.ActionID = long(255) })}, true},
		"action id 256":        {[]slack.Block{button(func(b *slack.ButtonBlockElement) { b.ActionID = long(256) })}, false},
		"button text 75":       {[]slack.Block{button(func(b *slack.ButtonBlockElement) { b.Text = plainText(long(75)) })}, true},
		"button text 76":       {[]slack.Block{button(func(b *slack.ButtonBlockElement) { b.Text = plainText(long(76)) })}, false},
		"unknown style":        {[]slack.Block{button(func(b *slack.ButtonBlockElement) { b.Style = "green" })}, false},
		"25 buttons":           {[]slack.Block{row(25)}, true},
		"26 buttons":           {[]slack.Block{row(26)}, false},
		"same action id twice": {[]slack.Block{slack.NewActionBlock("", slack.NewButtonBlockElement("a", "", plainText("x")), slack.NewButtonBlockElement("a", "", plainText("y")))}, false},
		"same block id twice":  {[]slack.Block{&slack.DividerBlock{Type: slack.MBTDivider, BlockID: "x"}, &slack.DividerBlock{Type: slack.MBTDivider, BlockID: "x"}}, false},
		"unsupported":          {[]slack.Block{slack.NewFileBlock("", "x", "remote")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := api.PostMessage("C0PROD", slack.MsgOptionText("x", false), slack.MsgOptionBlocks(c.blocks...))
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e slack.SlackErrorResponse
			if !errors.As(err, &e) || e.Err != "invalid_blocks" || len(e.ResponseMetadata.Messages) == 0 {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := options()
	o.Unlimited, o.PostBurst, o.Clock = false, 2, func() time.Time { return now }
	_, api := start(t, o)
	send := func() error {
		_, _, err := api.PostMessage("C0PROD", slack.MsgOptionText("x", false))
		return err
	}
	if err := errors.Join(send(), send()); err != nil {
		t.Fatal(err)
	}
	var limited *slack.RateLimitedError
	if err := send(); !errors.As(err, &limited) || limited.RetryAfter != time.Second {
		t.Fatalf("got %v", err)
	}
	if _, _, err := api.PostMessage("C0DBA", slack.MsgOptionText("x", false)); err != nil {
		t.Fatalf("another channel has its own limit: %v", err)
	}
	now = now.Add(time.Second)
	if err := send(); err != nil {
		t.Fatal(err)
	}
}

func TestFaults(t *testing.T) {
	w, api := start(t, options())
	w.SetFaults(Faults{Down: true})
	var status slack.StatusCodeError
	if _, err := api.AuthTest(); !errors.As(err, &status) || status.Code != http.StatusServiceUnavailable {
		t.Fatalf("got %v", err)
	}
	w.SetFaults(Faults{RateLimited: map[string]time.Duration{"auth.test": 7 * time.Second}, Errors: map[string]string{"chat.postMessage": "is_archived"}})
	var limited *slack.RateLimitedError
	if _, err := api.AuthTest(); !errors.As(err, &limited) || limited.RetryAfter != 7*time.Second {
		t.Fatalf("got %v", err)
	}
	_, _, err := api.PostMessage("C0PROD", slack.MsgOptionText("x", false))
	wantError(t, err, "is_archived")
	w.SetFaults(Faults{LoseResponses: map[string]int{"chat.postMessage": 1}})
	if _, _, err := api.PostMessage("C0PROD", slack.MsgOptionText("lost", false)); err == nil {
		t.Fatal("the response should be lost")
	}
	if m := w.Messages("C0PROD"); len(m) != 1 || m[0].Text != "lost" {
		t.Fatalf("but the message is there: %+v", m)
	}
}

func TestServeRefusesOtherThanLoopback(t *testing.T) {
	w, err := New(options())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := w.Serve(context.Background(), l); err == nil {
		t.Fatal("served beyond loopback")
	}
}

func TestRedteam32_ForeignPagesCannotClick(t *testing.T) {
	w, api := start(t, options())
	ts := postButtons(t, api)
	body := `{"user":"U0DANA","channel":"C0PROD","ts":"` + ts + `","action_id":"approve"}`
	app(t, w, func(c *socketmode.Client, e socketmode.Event) { _ = c.Ack(*e.Request) })
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"a program":      {func(*http.Request) {}, http.StatusOK},
		"the page":       {func(r *http.Request) { r.Header.Set("Origin", w.URL()); r.Header.Set("Sec-Fetch-Site", "same-origin") }, http.StatusOK},
		"another origin": {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		"origin null":    {func(r *http.Request) { r.Header.Set("Origin", "null") }, http.StatusForbidden},
		"another port":   {func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, http.StatusForbidden},
		"cross-site":     {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"a form":         {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, http.StatusUnsupportedMediaType},
		"DNS rebinding":  {func(r *http.Request) { r.Host = "evil.example:80" }, http.StatusForbidden},
		"an unknown button": {func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "approve", "x", 1)))
		}, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+"/click", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = -1
			c.change(r)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if raw, _ := io.ReadAll(response.Body); response.StatusCode != c.want {
				t.Fatalf("got %s: %s", response.Status, raw)
			}
		})
	}
}

func TestHandlerLearnsItsAddress(t *testing.T) {
	w, err := New(options())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(w.Handler())
	defer func() { w.Close(); s.Close() }()
	response, err := http.Get(s.URL + "/messages?channel=C0PROD")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if raw, _ := io.ReadAll(response.Body); strings.TrimSpace(string(raw)) != `{"ephemeral":[],"messages":[],"ok":true}` || w.URL() != s.URL {
		t.Fatalf("got %s at %s", raw, w.URL())
	}
}
