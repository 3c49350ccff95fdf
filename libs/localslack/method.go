package localslack

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const maxRequest = 1 << 20

// method is one method of the Web API.
type method struct {
	name       string
	app        bool // takes the app-level token; else the bot's
	tier       int
	perChannel bool // limited as posts are
	run        func(*Workspace, *call) (map[string]any, error)
}

func methods() map[string]method {
	all := []method{
		{name: "auth.test", run: authTest},
		{name: "apps.connections.open", app: true, run: connectionsOpen},
		{name: "chat.postMessage", perChannel: true, run: postMessage},
		{name: "chat.postEphemeral", tier: tier4, run: postEphemeral},
		{name: "chat.update", tier: tier3, run: updateMessage},
		{name: "chat.delete", tier: tier3, run: deleteMessage},
		{name: "conversations.info", tier: tier3, run: conversationInfo},
		{name: "conversations.list", tier: tier2, run: conversationList},
		{name: "conversations.history", tier: tier3, run: conversationHistory},
		{name: "conversations.replies", tier: tier3, run: conversationReplies},
		{name: "users.info", tier: tier4, run: userInfo},
		{name: "users.list", tier: tier2, run: userList},
		{name: "usergroups.users.list", tier: tier2, run: groupUsers},
		{name: "views.open", tier: tier4, run: viewsOpen},
		{name: "views.update", tier: tier4, run: viewsUpdate},
	}
	byName := make(map[string]method, len(all))
	for _, m := range all {
		byName[m.name] = m
	}
	return byName
}

// call is one request: its arguments, from a form or from JSON.
type call struct {
	host string // as the caller addressed the workspace
	args map[string]string
}

func (c *call) arg(name string) string { return c.args[name] }

// apiError is an error in Slack's own shape.
type apiError struct {
	code     string
	messages []string // response_metadata.messages
}

func (e *apiError) Error() string { return e.code }

func fail(code string, messages ...string) error { return &apiError{code, messages} }

func failure(code string, messages ...string) map[string]any {
	m := map[string]any{"ok": false, "error": code}
	if len(messages) > 0 {
		m["errors"] = messages
		m["response_metadata"] = map[string]any{"messages": messages}
	}
	return m
}

func reply(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(rw).Encode(v)
}

// api answers /api/{method}.
func (w *Workspace) api(all map[string]method) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		m, ok := all[r.PathValue("method")]
		if !ok {
			reply(rw, failure("unknown_method"))
			return
		}
		if w.fault(rw, m.name) {
			return
		}
		c, token, err := parse(rw, r)
		if err == nil {
			err = w.authorise(m, token)
		}
		if err != nil {
			answer(rw, nil, err)
			return
		}
		if wait := w.limits.wait(m, c.arg("channel")); wait > 0 {
			tooMany(rw, wait)
			return
		}
		result, err := m.run(w, c)
		if w.loses(m.name) {
			panic(http.ErrAbortHandler) // the way to cut a connection without a word
		}
		answer(rw, result, err)
	}
}

func answer(rw http.ResponseWriter, result map[string]any, err error) {
	if err != nil {
		e, ok := err.(*apiError) //nolint:errorlint // made by fail in this package, never wrapped
		if !ok {
			e = &apiError{code: "internal_error"}
		}
		reply(rw, failure(e.code, e.messages...))
		return
	}
	result["ok"] = true
	reply(rw, result)
}

func (w *Workspace) authorise(m method, token string) error {
	switch {
	case token == "":
		return fail("not_authed")
	case token != w.o.BotToken && token != w.o.AppToken:
		return fail("invalid_auth")
	case (token == w.o.AppToken) != m.app:
		return fail("not_allowed_token_type")
	}
	return nil
}

func parse(rw http.ResponseWriter, r *http.Request) (*call, string, error) {
	c := &call{host: r.Host, args: map[string]string{}}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	raw, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRequest))
	if err != nil {
		return nil, "", fail("request_timeout")
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/json" {
		if err := c.json(raw); err != nil {
			return nil, "", err
		}
	} else {
		form, err := url.ParseQuery(string(raw))
		if err != nil {
			return nil, "", fail("invalid_form_data")
		}
		for _, values := range []url.Values{r.URL.Query(), form} {
			for name := range values {
				c.args[name] = values.Get(name)
			}
		}
		if token == "" {
			token = c.args["token"]
		}
	}
	return c, token, nil
}

func (c *call) json(raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return fail("invalid_json")
	}
	for name, v := range fields {
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v)
		}
		c.args[name] = s
	}
	return nil
}
