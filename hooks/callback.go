package hooks

import (
	"context"
	"errors"
	"log/slog"

	"github.com/rudderpost/rudderpost/wire"
)

// callBack runs a command that the process wants of the daemon, for a call that it has, with the rights
// of whoever made that. The process has none of its own.
func (l *life) callBack(s *said) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil
	}
	p := l.calls[s.For]
	switch {
	case p == nil || p.settled:
		return l.refuse(s, wire.Errorf(wire.CodeForbidden, "", "there is no call %d that anybody waits for, and a hook has no rights but its caller's", s.For))
	case l.backs >= maxBacks:
		return l.refuse(s, wire.Errorf(wire.CodeTooMany, "", "the hook has %d calls under way, as many as it may; wait for a reply", maxBacks))
	}
	l.backs++
	l.aside(func() {
		reply, err := l.c.manager.ProcessEncoded(p.ctx, wire.Request{Command: s.Command, Arguments: s.Arguments})
		if err != nil {
			reply = wire.Failure(&wire.Error{Code: wire.CodeCancelled, Text: err.Error()})
		}
		l.say(replyFrame(s, reply))
		l.mu.Lock()
		l.backs--
		l.mu.Unlock()
	})
	return nil
}

// refuse answers a call back that does not run. A process that goes on like that is stopped. l.mu is held.
func (l *life) refuse(s *said, why *wire.Error) error {
	if l.owed >= maxBacks || l.lines.take() > 0 {
		return errors.New("it floods the daemon with calls that are refused")
	}
	frame := replyFrame(s, wire.Failure(why))
	l.owed++
	l.aside(func() {
		l.say(frame)
		l.mu.Lock()
		l.owed--
		l.mu.Unlock()
	})
	return nil
}

// replyFrame makes the reply to a call back. The reply's arguments, or the data of its error, are a wire.Raw or nil.
func replyFrame(s *said, reply wire.Reply) []byte {
	frame, _ := encode(answer{*s.Call, reply.Code, reply.Text, reply.Arguments, reply.Error})
	return frame
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

const (
	maxLine = 1024 // bytes of one line in the log
)

// logLine publishes a line of the process. What is too much is counted; what is far too much ends it.
func (l *life) logLine(level, text string) error {
	at, ok := logLevels[level]
	if !ok {
		return errors.New("it wrote a log line without a level that there is: debug, info, warn or error")
	}
	if l.flood.take() > 0 {
		return errors.New("it floods the log")
	}
	l.mu.Lock()
	wait := l.lines.take()
	l.mu.Unlock()
	if wait > 0 {
		l.lost++
		return nil
	}
	if l.lost > 0 {
		l.c.log.Warn("a hook said more than it may; lines are lost", "lines", l.lost)
		l.lost = 0
	}
	l.c.log.Log(context.Background(), at, "a hook says", "line", cut(text))
	return nil
}

func cut(text string) string {
	if len(text) > maxLine {
		return text[:maxLine] + "…"
	}
	return text
}
