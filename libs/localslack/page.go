package localslack

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

//go:embed page
var pageFiles embed.FS

const maxStreams = 64

// shownBlock is a block as the template renders it.
type shownBlock struct {
	block
	HTML   template.HTML
	Cells  []template.HTML
	Button *shownButton
	Row    []shownButton
}

type shownButton struct {
	Block, Action, Style, URL string
	Label                     template.HTML
	Confirm                   *shownConfirm
}

type shownConfirm struct {
	Title, Text, Confirm, Deny template.HTML
	Style                      string
}

type shownMessage struct {
	TS, Author, Initial string
	App, Mine, Edited   bool
	Time                time.Time
	HTML                template.HTML
	Blocks              []shownBlock
}

type shownUser struct {
	ID, Name, Initial, Role string
	Current                 bool
	Hue                     int
}

type shownView struct {
	ID, Title, Submit, Close template.HTML
	Blocks                   []shownBlock
	Problems                 map[string]string
}

type shownPage struct {
	Team, App string
	Channels  []*channel
	Channel   *channel
	Users     []shownUser
	User      *User
	Me        shownUser
	Messages  []shownMessage
	View      *shownView
	Member    bool
}

func (w *Workspace) mountPage(mux *http.ServeMux) {
	t := template.Must(template.New("page.html").Funcs(template.FuncMap{
		"rfc": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}).ParseFS(pageFiles, "page/page.html"))
	render := func(name string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			page := w.page(r.URL.Query().Get("channel"), r.URL.Query().Get("user"))
			if page == nil {
				http.Error(rw, "the workspace has no channel or no user", http.StatusNotFound)
				return
			}
			headers(rw)
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			if err := t.ExecuteTemplate(rw, name, page); err != nil {
				w.o.Log.Debug().Err(err).Msg("page not written")
			}
		}
	}
	mux.HandleFunc("GET /{$}", render("page.html"))
	mux.HandleFunc("GET /fragment", render("main"))
	mux.HandleFunc("GET /page/{file}", func(rw http.ResponseWriter, r *http.Request) {
		headers(rw)
		http.ServeFileFS(rw, r, pageFiles, "page/"+r.PathValue("file")) //nolint:gosec // one path element of an embedded folder
	})
	mux.HandleFunc("GET /events", w.events(make(chan struct{}, maxStreams)))
}

// headers keep the page to itself: no outside host, no frame.
func headers(rw http.ResponseWriter) {
	rw.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Referrer-Policy", "no-referrer")
	rw.Header().Set("Cache-Control", "no-store")
}

// events tells the page, by server-sent events, that something changed.
func (w *Workspace) events(streams chan struct{}) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		flusher, ok := rw.(http.Flusher)
		if !ok {
			http.Error(rw, "streaming is not possible here", http.StatusNotImplemented)
			return
		}
		select {
		case streams <- struct{}{}:
			defer func() { <-streams }()
		default:
			http.Error(rw, "too many open pages", http.StatusServiceUnavailable)
			return
		}
		changes, stop := w.hub.subscribe()
		defer stop()
		headers(rw)
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = rw.Write([]byte("retry: 500\n\n"))
		flusher.Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case id, open := <-changes:
				if !open {
					return
				}
				if _, err := fmt.Fprintf(rw, "event: change\ndata: %s\n\n", id); err != nil {
					return
				}
				flusher.Flush()
			}
		}
	}
}

func (w *Workspace) page(channelID, userID string) *shownPage {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &shownPage{Team: w.o.Team.Name, App: w.o.App.Name, Channel: w.channels[channelID]}
	for _, id := range w.order {
		p.Channels = append(p.Channels, w.channels[id])
	}
	if p.Channel == nil && len(p.Channels) > 0 {
		p.Channel = p.Channels[0]
	}
	for _, configured := range w.o.Users {
		u := w.users[configured.ID]
		if u.Bot || u.Deleted {
			continue
		}
		if u.ID == userID || p.User == nil {
			p.User = u
		}
		p.Users = append(p.Users, w.person(u))
	}
	if p.Channel == nil || p.User == nil {
		return nil
	}
	for i := range p.Users {
		p.Users[i].Current = p.Users[i].ID == p.User.ID
	}
	p.Me, p.Member = w.person(p.User), p.Channel.has(p.User.ID)
	if !p.Member {
		return p
	}
	for _, m := range p.Channel.messages {
		p.Messages = append(p.Messages, w.message(m))
	}
	for _, m := range p.Channel.ephemerals {
		if m.To == p.User.ID {
			p.Messages = append(p.Messages, w.message(m))
		}
	}
	sort.SliceStable(p.Messages, func(i, j int) bool { return p.Messages[i].TS < p.Messages[j].TS })
	for _, v := range w.views {
		if v.user == p.User.ID {
			p.View = w.modal(v)
		}
	}
	return p
}

func (w *Workspace) person(u *User) shownUser {
	s := shownUser{ID: u.ID, Name: u.shown(), Initial: initial(u.shown()), Role: u.Title}
	switch {
	case u.TeamID != w.o.Team.ID:
		s.Role = "connected workspace"
	case u.SingleChannelGuest, u.Guest:
		s.Role = "guest"
	}
	for _, r := range u.ID {
		s.Hue = (s.Hue*31 + int(r)) % 6
	}
	return s
}

func initial(name string) string {
	r, _ := utf8.DecodeRuneInString(name)
	return strings.ToUpper(string(r))
}

func (w *Workspace) message(m *Message) shownMessage {
	s := shownMessage{TS: m.TS, App: m.AppID != "", Mine: m.IsEphemeral, Edited: m.Edited != nil, Author: "Slackbot"}
	if u := w.users[m.User]; u != nil {
		s.Author = u.shown()
	}
	s.Initial = initial(s.Author)
	var seconds int64
	_, _ = fmt.Sscanf(m.TS, "%d.", &seconds)
	s.Time = time.Unix(seconds, 0)
	var list blocks
	if json.Unmarshal(m.Blocks, &list) == nil && len(list) > 0 {
		s.Blocks = w.blocks(list)
		return s
	}
	s.HTML = mrkdwn(m.Text, w.names())
	return s
}

// names resolves ids; the workspace is locked while a page is built.
func (w *Workspace) names() names {
	return names{
		user: func(id string) string {
			if u := w.users[id]; u != nil {
				return u.shown()
			}
			return id
		},
		channel: func(id string) string {
			if c := w.channels[id]; c != nil {
				return c.Name
			}
			return id
		},
	}
}

func (w *Workspace) text(t *text) template.HTML {
	switch {
	case t == nil:
		return ""
	case t.Type == "mrkdwn":
		return mrkdwn(t.Text, w.names())
	}
	return plain(t.Text)
}

func (w *Workspace) blocks(list blocks) []shownBlock {
	shown := make([]shownBlock, len(list))
	for i, b := range list {
		s := shownBlock{block: b, HTML: w.text(b.Text)}
		switch b.Type {
		case "section":
			for j := range b.Fields {
				s.Cells = append(s.Cells, w.text(&b.Fields[j]))
			}
			if b.Accessory != nil {
				button := w.button(b.BlockID, b.Accessory)
				s.Button = &button
			}
		case "context":
			for j := range b.Elements {
				t := b.Elements[j].words()
				if b.Elements[j].Type == "image" {
					t = text{Type: "plain_text", Text: "[" + b.Elements[j].AltText + "]"}
				}
				s.Cells = append(s.Cells, w.text(&t))
			}
		case "actions":
			for j := range b.Elements {
				s.Row = append(s.Row, w.button(b.BlockID, &b.Elements[j]))
			}
		case "input":
			s.HTML = w.text(b.Label)
		}
		shown[i] = s
	}
	return shown
}

func (w *Workspace) button(blockID string, e *element) shownButton {
	label := e.label()
	b := shownButton{Block: blockID, Action: e.ActionID, Style: e.Style, Label: w.text(&label)}
	if strings.HasPrefix(e.URL, "https://") || strings.HasPrefix(e.URL, "http://") {
		b.URL = e.URL
	}
	if c := e.Confirm; c != nil {
		b.Confirm = &shownConfirm{Title: w.text(c.Title), Text: w.text(c.Text), Confirm: w.text(c.Confirm), Deny: w.text(c.Deny), Style: c.Style}
	}
	return b
}

func (w *Workspace) modal(v *view) *shownView {
	title := func(name string) template.HTML {
		t, _ := v.fields[name].(*text)
		return w.text(t)
	}
	id, _ := v.fields["id"].(string)
	return &shownView{
		ID: template.HTML(id), Title: title("title"), Submit: title("submit"), Close: title("close"), //nolint:gosec // our own random id
		Blocks: w.blocks(v.blocks), Problems: v.problems,
	}
}
