package websocket_test

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/rudderpost/rudderpost/transport"
)

// converse does what a manager does for a peer: it replies to a bad frame with an error text, and ends the conn after a
// frame without an id.
func converse(c transport.Conn) {
	defer func() { _ = c.Close() }()
	for {
		frame, err := c.Receive(context.Background(), nil)
		if bad, ok := errors.AsType[*transport.FrameError](err); ok {
			text, _ := json.Marshal(bad.Error())
			_ = c.Send(context.Background(), []byte(`{"result":1,"text":`+string(text)+`}`))
		}
		if err != nil || c.Send(context.Background(), frame) != nil {
			return
		}
		var request struct{ ID any }
		if json.Unmarshal(frame, &request); request.ID == nil {
			return
		}
	}
}
