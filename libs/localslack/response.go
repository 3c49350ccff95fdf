package localslack

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

const (
	responseUses = 5
	responseLife = 30 * time.Minute
)

// responseURL is where the app may answer an interaction: five times within
// half an hour, without a token.
type responseURL struct {
	channel, ts, user string
	uses              int
	until             time.Time
}

func (w *Workspace) newResponseURL(channelID, ts, user string) string {
	now := w.now()
	for id, r := range w.responses {
		if now.After(r.until) {
			delete(w.responses, id)
		}
	}
	id := random(12)
	w.responses[id] = &responseURL{channel: channelID, ts: ts, user: user, uses: responseUses, until: now.Add(responseLife)}
	return w.base + "/actions/" + w.o.Team.ID + "/" + id
}

// respond answers /actions/{team}/{id}.
func (w *Workspace) respond(rw http.ResponseWriter, r *http.Request) {
	if w.fault(rw, "response_url") {
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRequest))
	var body struct {
		Text            string          `json:"text"`
		Blocks          json.RawMessage `json:"blocks"`
		ResponseType    string          `json:"response_type"`
		ReplaceOriginal bool            `json:"replace_original"`
		DeleteOriginal  bool            `json:"delete_original"`
	}
	if err != nil || json.Unmarshal(raw, &body) != nil {
		refuse(rw, http.StatusBadRequest, fail("invalid_payload"))
		return
	}
	w.mu.Lock()
	u := w.responses[r.PathValue("id")]
	switch {
	case u == nil || w.now().After(u.until):
		w.mu.Unlock()
		refuse(rw, http.StatusNotFound, fail("expired_url"))
		return
	case u.uses == 0:
		w.mu.Unlock()
		refuse(rw, http.StatusNotFound, fail("used_url"))
		return
	}
	u.uses--
	ch := w.channels[u.channel]
	err = w.answerTo(u, ch, body.Text, body.Blocks, body.ResponseType, body.ReplaceOriginal, body.DeleteOriginal)
	w.mu.Unlock()
	if err != nil {
		refuse(rw, http.StatusBadRequest, err)
		return
	}
	w.hub.changed(ch.ID)
	_, _ = io.WriteString(rw, "ok")
}

func (w *Workspace) answerTo(u *responseURL, ch *channel, words string, raw json.RawMessage, kind string, replace, remove bool) error {
	if remove {
		ch.remove(u.ts)
		return nil
	}
	args := map[string]string{"text": words}
	if len(raw) > 0 && string(raw) != "null" {
		args["blocks"] = string(raw)
	}
	m, err := w.compose(&call{args: args}, ch)
	if err != nil {
		return err
	}
	if original := ch.find(u.ts); replace && original != nil {
		original.Text, original.Blocks, original.Edited = m.Text, m.Blocks, &Edited{User: m.User, TS: m.TS}
		return nil
	}
	if kind != "in_channel" {
		m.IsEphemeral, m.To = true, u.user
	}
	ch.add(m)
	return nil
}

func refuse(rw http.ResponseWriter, status int, err error) {
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(status)
	answer(rw, nil, err)
}
