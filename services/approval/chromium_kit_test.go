package approval_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// tab is a page in a real Chromium, driven by its DevTools protocol: the few
// calls needed here, since the generated clients take longer to compile than
// this test to run.
type tab struct {
	t      *testing.T
	conn   *websocket.Conn
	id     int
	faults []string // what the browser complained about: scripts, the content security policy
}

// chromium starts a browser and returns what opens tabs in it; each has cookies
// of its own browser only.
func chromium(t *testing.T) func() *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("these tests need chromium: .ci/install installs it")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
		"--disable-extensions", "--disable-background-networking", "--remote-debugging-port=0", "--user-data-dir="+dir, "about:blank")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = c.Wait() })
	address := ""
	until(t, "Chromium", func() bool {
		raw, err := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		address, _, _ = strings.Cut(string(raw), "\n")
		return err == nil && address != ""
	})
	return func() *tab { return newTab(t, "http://127.0.0.1:"+address) }
}

func newTab(t *testing.T, browser string) *tab {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, browser+"/json/new?about:blank", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := plainClient(t).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var made struct {
		URL string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		t.Fatal(err)
	}
	conn, answer, err := websocket.DefaultDialer.DialContext(t.Context(), made.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	p := &tab{t: t, conn: conn}
	p.call("Page.enable", nil, nil)
	p.call("Runtime.enable", nil, nil)
	p.call("Log.enable", nil, nil)
	p.look(1280, 900, "light")
	return p
}

func (p *tab) call(method string, params, result any) {
	p.t.Helper()
	if problem := p.try(method, params, result); problem != "" {
		p.t.Fatalf("%s: %s", method, problem)
	}
}

// try is call for what may fail; it returns the browser's words.
func (p *tab) try(method string, params, result any) string {
	p.t.Helper()
	p.id++
	if params == nil {
		params = struct{}{}
	}
	if err := p.conn.WriteJSON(map[string]any{"id": p.id, "method": method, "params": params}); err != nil {
		p.t.Fatal(err)
	}
	for {
		var m struct {
			ID     int             `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
			Result json.RawMessage `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		if err := p.conn.ReadJSON(&m); err != nil {
			p.t.Fatalf("%s: %v", method, err)
		}
		switch {
		case m.Method == "Runtime.exceptionThrown" || m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"level":"error"`):
			p.faults = append(p.faults, string(m.Params))
		case m.ID != p.id:
		case m.Error != nil:
			return m.Error.Message
		default:
			if result != nil {
				if err := json.Unmarshal(m.Result, result); err != nil {
					p.t.Fatal(err)
				}
			}
			return ""
		}
	}
}

// look sets the size of the window and the reader's preference.
func (p *tab) look(width, height int, scheme string) {
	p.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	p.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

func (p *tab) open(url string) {
	p.t.Helper()
	p.call("Page.navigate", map[string]any{"url": url}, nil)
	p.holds(`document.readyState === "complete" && location.href !== "about:blank"`)
}

// eval returns an expression's value as text; empty where the page is just
// being changed.
func (p *tab) eval(js string) string {
	p.t.Helper()
	var r struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
	}
	problem := p.try("Runtime.evaluate", map[string]any{"expression": js, "returnByValue": true, "awaitPromise": true}, &r)
	if problem != "" || r.Result.Value == nil {
		return ""
	}
	return fmt.Sprint(r.Result.Value)
}

// holds waits until an expression is true.
func (p *tab) holds(js string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.eval("!!("+js+")") != "true" {
		if time.Now().After(deadline) {
			p.t.Fatalf("it never holds: %s\nat %s:\n%s\n%v", js, p.eval("location.href"), p.eval("document.body.innerText"), p.faults)
		}
		<-tick.C
	}
}

// key presses one key.
func (p *tab) key(key string) {
	p.t.Helper()
	down := map[string]any{"type": "keyDown", "key": key, "text": key}
	if key == "Enter" {
		down["text"], down["windowsVirtualKeyCode"], down["code"] = "\r", 13, "Enter"
	}
	if key == "Escape" {
		down = map[string]any{"type": "rawKeyDown", "key": key, "windowsVirtualKeyCode": 27}
	}
	p.call("Input.dispatchKeyEvent", down, nil)
	p.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
}

func (p *tab) write(text string) {
	p.t.Helper()
	for _, r := range text {
		p.key(string(r))
	}
}

// picture keeps what is seen in the folder that SCREENSHOTS names, in both
// schemes, at both widths. Without it nothing is done.
func (p *tab) picture(name string) {
	p.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, width := range []int{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			p.look(width, 900, scheme)
			var size struct {
				Content struct{ Height float64 } `json:"cssContentSize"`
			}
			p.call("Page.getLayoutMetrics", nil, &size)
			p.look(width, max(600, int(size.Content.Height)), scheme)
			for _, format := range []string{"png", "webp"} {
				var shot struct{ Data string }
				p.call("Page.captureScreenshot", map[string]any{"format": format}, &shot)
				raw, err := base64.StdEncoding.DecodeString(shot.Data)
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%d.%s", name, scheme, width, format)), raw, 0o600)
				}
				if err != nil {
					p.t.Fatal(err)
				}
			}
		}
	}
	p.look(1280, 900, "light")
}
