package approvals

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/remote"
)

const watchHelp = `Show what waits, live, and vote with a key:

  j k or arrows   move            enter     show the whole of it
  a               approve         d         deny, with a reason
  space b         read on, back   r         look again
  q               leave

A vote is asked back once before it counts, with its reason where the rule asks for
one, and one to approve after the end of the statement has been on the screen. In a
pipe, one line is printed for each approval as it comes and as it ends.`

const (
	watchEvery = time.Second
	blank      = "\x1b[2J\x1b[H"
	alternate  = "\x1b[?1049h\x1b[?25l"
	ordinary   = "\x1b[?25h\x1b[?1049l"
)

func (t *tool) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use: "watch", Short: "What waits, live; vote with a key", Long: watchHelp, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			in, ok := t.env.Stdin.(*os.File)
			if t.env.JSON() || !ok || !term.IsTerminal(int(in.Fd())) || !terminal(t.env.Stdout) {
				return t.follow(c.Context(), client)
			}
			old, err := term.MakeRaw(int(in.Fd()))
			if err != nil {
				return fmt.Errorf("approvals: the terminal: %w", err)
			}
			defer func() { _ = term.Restore(int(in.Fd()), old) }()
			return (&watcher{tool: t, client: client}).run(c.Context(), in)
		},
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func fetch(ctx context.Context, client *remote.Client, state string) ([]Approval, error) {
	var answer struct {
		Approvals []Approval `json:"approvals"`
	}
	if err := client.Get(ctx, []string{"v1", "approvals"}, url.Values{"state": {state}}, &answer); err != nil {
		return nil, fmt.Errorf("approvals: %w", err)
	}
	return answer.Approvals, nil
}

// follow prints a line for each change, for a pipe: text or JSON lines.
func (t *tool) follow(ctx context.Context, client *remote.Client) error {
	states := map[string]string{}
	first := true
	for {
		list, err := fetch(ctx, client, "all")
		if err != nil {
			return err
		}
		for i := len(list) - 1; i >= 0; i-- { // the oldest first
			a := list[i]
			known := states[a.ID]
			states[a.ID] = a.State
			if known == a.State || first && a.State != "waiting" {
				continue
			}
			if t.env.JSON() {
				if err := json.NewEncoder(t.env.Stdout).Encode(a); err != nil {
					return fmt.Errorf("approvals: %w", err)
				}
				continue
			}
			_, _ = fmt.Fprintf(t.env.Stdout, "%s %s %s on %s, for %s\n", a.ID, approval.Visible(a.State), approval.Visible(a.Headline),
				approval.Visible(a.Target), approval.Visible(a.Who))
		}
		first = false
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// watcher is the live list on a terminal.
type watcher struct {
	tool   *tool
	client *remote.Client
	list   []Approval
	at     int    // the marked one
	open   bool   // it is shown whole
	from   int    // the first of its lines that is on the screen
	step   int    // how many lines a page has
	read   bool   // its end was on the screen
	ask    string // the vote that is asked back, or empty
	reason string // typed so far, of a denial
	said   string // what came of the last key
}

func (w *watcher) run(ctx context.Context, in *os.File) error {
	out := w.tool.env.Stdout
	_, _ = fmt.Fprint(out, alternate)
	defer func() { _, _ = fmt.Fprint(out, ordinary) }()
	keys := make(chan string)
	go readKeys(ctx, in, keys)
	if err := w.look(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		_, _ = fmt.Fprint(out, blank+strings.ReplaceAll(w.screen(), "\n", "\r\n"))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := w.look(ctx); err != nil {
				w.said = err.Error()
			}
		case key, ok := <-keys:
			if !ok || w.press(ctx, key) {
				return nil
			}
		}
	}
}

// readKeys reads keys until the terminal ends; it is left behind at the end of
// the process, since a read of a terminal cannot be taken back.
func readKeys(ctx context.Context, in *os.File, keys chan<- string) {
	defer close(keys)
	r := bufio.NewReader(in)
	for {
		c, _, err := r.ReadRune()
		if err != nil {
			return
		}
		key := string(c)
		if c == 0x1b && r.Buffered() >= 2 { // an arrow
			rest, _ := r.Peek(2)
			key += string(rest)
			_, _ = r.Discard(2)
		}
		select {
		case keys <- key:
		case <-ctx.Done():
			return
		}
	}
}

// look asks what waits now, and keeps the mark on the same approval.
func (w *watcher) look(ctx context.Context) error {
	list, err := fetch(ctx, w.client, "waiting")
	if err != nil {
		return err
	}
	marked := w.marked()
	w.list = list
	w.at = min(w.at, max(len(list)-1, 0))
	for i, a := range list {
		if marked != nil && a.ID == marked.ID {
			w.at = i
			return nil
		}
	}
	if marked != nil && (w.open || w.ask != "") {
		w.open, w.ask, w.said = false, "", marked.ID+" is over"
	}
	return nil
}

func (w *watcher) marked() *Approval {
	if w.at < 0 || w.at >= len(w.list) {
		return nil
	}
	return &w.list[w.at]
}

// press takes one key, and reports that it is time to leave.
func (w *watcher) press(ctx context.Context, key string) bool {
	if w.ask != "" {
		w.answer(ctx, key)
		return false
	}
	w.said = ""
	switch key {
	case "q", "\x03", "\x04":
		return true
	case "j", "\x1b[B":
		w.at = min(w.at+1, max(len(w.list)-1, 0))
		w.show(false)
	case "k", "\x1b[A":
		w.at = max(w.at-1, 0)
		w.show(false)
	case "\r":
		w.show(!w.open)
	case " ":
		w.from += w.step
	case "b":
		w.from -= w.step
	case "\x1b":
		w.show(false)
	case "r":
		if err := w.look(ctx); err != nil {
			w.said = err.Error()
		}
	case "a", "d":
		a := w.marked()
		switch {
		case a == nil:
		case !a.MayVote:
			w.said = "You may not vote: " + approval.Visible(a.WhyNot)
		case key == "d":
			w.ask, w.reason = approval.Deny, ""
		case a.StepUp:
			w.said = onItsPage
		case !w.open: // nobody approves what they have not seen
			w.show(true)
			w.said = "read it, then press a again"
		case !w.read:
			w.said = "read it to its end first: space goes on"
		default:
			w.ask, w.reason = approval.Approve, ""
		}
	}
	return false
}

// show opens or closes the marked approval.
func (w *watcher) show(open bool) { w.open, w.from, w.read = open, 0, false }

// typed reports that the vote that is asked back comes with a reason: a denial
// may have one, an approval where its rule asks for it.
func (w *watcher) typed() bool {
	return w.ask == approval.Deny || w.marked() != nil && w.marked().ReasonRequired
}

// answer takes a key while a vote is asked back: a reason and enter, or y;
// escape takes it back.
func (w *watcher) answer(ctx context.Context, key string) {
	switch {
	case key == "\x1b" || key == "\x03":
		w.ask, w.said = "", "no vote"
	case !w.typed() && (key == "y" || key == "Y"):
		w.vote(ctx)
	case !w.typed():
		w.ask, w.said = "", "no vote"
	case key == "\r" && w.ask == approval.Approve && strings.TrimSpace(w.reason) == "": // asked back until there is one
	case key == "\r":
		w.vote(ctx)
	case key == "\x7f" || key == "\b":
		if r := []rune(w.reason); len(r) > 0 {
			w.reason = string(r[:len(r)-1])
		}
	case len(key) > 0 && key[0] >= 0x20 && key[0] != 0x7f:
		w.reason += key
	}
}

func (w *watcher) vote(ctx context.Context) {
	a, vote := w.marked(), w.ask
	w.ask = ""
	if a == nil {
		return
	}
	var after Approval
	err := w.client.Post(ctx, []string{"v1", "approvals", a.ID, "vote"}, map[string]any{"vote": vote, "reason": w.reason}, &after)
	if err != nil {
		w.said = err.Error()
		return
	}
	w.open, w.said = false, "you "+past[vote]+" "+a.ID
	if err := w.look(ctx); err != nil && !errors.Is(err, context.Canceled) {
		w.said = err.Error()
	}
}
