package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// Do gives one command on a conn of its own, and blocks until the reply or the end of ctx. When ctx ends first it
// closes the conn; the daemon cancels the command where the transport reports the close. The error says why there is no reply;
// a reply of a failed command is no error, see wire.Reply.Err.
func Do(ctx context.Context, d transport.Dialer, r wire.Request) (wire.Reply, error) {
	r.ID = wire.ID{} // the conn's last request
	frame, err := wire.AppendRequest(nil, r)
	if err != nil {
		return wire.Reply{}, fmt.Errorf("the request: %w", err)
	}
	conn, err := d.Dial(ctx)
	if err != nil {
		return wire.Reply{}, err
	}
	defer func() { _ = conn.Close() }()
	// A daemon that refuses the frame may close before it has read all of it. Its reply is better than the write error.
	sendErr := conn.Send(ctx, frame)
	answer, err := conn.Receive(ctx, nil)
	switch {
	case err == nil:
		return wire.DecodeReply(answer)
	case ctx.Err() != nil:
		return wire.Reply{}, context.Cause(ctx)
	case sendErr != nil:
		return wire.Reply{}, sendErr
	case errors.Is(err, io.EOF):
		return wire.Reply{}, errNoReply
	}
	return wire.Reply{}, err
}

var errNoReply = fmt.Errorf("the daemon closed the conn without a reply: %w", io.ErrUnexpectedEOF)

// Arguments encodes v as the arguments of a request. For nil it returns nil: no arguments.
func Arguments(v any) (wire.Value, error) {
	if v == nil {
		return nil, nil
	}
	if value, ok := v.(wire.Value); ok {
		return value, nil
	}
	raw, err := wire.Encode(v)
	if err != nil {
		return nil, fmt.Errorf("the arguments: %w", err)
	}
	return wire.Value(raw.String()), nil
}
