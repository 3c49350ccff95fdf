package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const (
	channel  = "C0PROD"
	approver = "U0DANA"
	lookAt   = 700 * time.Millisecond // so that a reader sees the pause
)

// message is what the demo needs to know of a Slack message.
type message struct {
	TS     string           `json:"ts"`
	Blocks []map[string]any `json:"blocks"`
}

// approve waits for the message and, unattended, clicks its real button. On a
// terminal the viewer clicks in the browser, or presses Enter.
func (s *story) approve(ctx context.Context) error {
	m, action, err := s.awaitButton(ctx)
	if err != nil {
		return err
	}
	s.step(ui.Said, "Slack: the request is in #prod-approvals", s.p.Accent(s.dev.Slack))
	if s.env.Interactive() {
		s.p.Details("click Approve there as Dana, or press Enter to have it clicked")
		if err := s.enter(ctx); err != nil {
			return err
		}
	} else if err := pause(ctx, lookAt); err != nil {
		return err
	}
	s.step(ui.Said, "Dana clicks Approve")
	return s.click(ctx, m.TS, action)
}

func (s *story) awaitButton(ctx context.Context) (*message, string, error) {
	for {
		var answer struct {
			Messages []message `json:"messages"`
		}
		if err := s.get(ctx, s.dev.Slack+"/messages?channel="+channel, &answer); err != nil {
			return nil, "", err
		}
		for _, m := range answer.Messages {
			if action := approveAction(m.Blocks); action != "" {
				return &m, action, nil
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, "", err
		}
	}
}

// approveAction finds the primary button.
func approveAction(blocks []map[string]any) string {
	for _, b := range blocks {
		elements, _ := b["elements"].([]any)
		for _, e := range elements {
			button, _ := e.(map[string]any)
			if button["type"] == "button" && button["style"] == "primary" {
				id, _ := button["action_id"].(string)
				return id
			}
		}
	}
	return ""
}

// enter returns when Enter is pressed, or ctx ends because somebody clicked.
func (s *story) enter(ctx context.Context) error {
	pressed := make(chan struct{})
	go func() { // ends with the process: a read of a terminal cannot be called off
		_, _ = bufio.NewReader(s.env.Stdin).ReadString('\n')
		close(pressed)
	}()
	select {
	case <-pressed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *story) click(ctx context.Context, ts, action string) error {
	raw, err := json.Marshal(map[string]string{"user": approver, "channel": channel, "ts": ts, "action_id": action})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, s.dev.Slack+"/click", bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	return s.do(r, nil)
}

func (s *story) get(ctx context.Context, url string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return s.do(r, answer)
}

func (s *story) do(r *http.Request, answer any) error {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
		return fmt.Errorf("demo: slack: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("demo: slack: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("demo: slack: %s: %s", resp.Status, body)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("demo: slack: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
