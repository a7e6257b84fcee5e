// Package rudderpost is the control channel for daemons: JSON commands, one command manager on the
// daemon's own loop, and every transport an operator needs.
//
// This package is empty. Start with [github.com/rudderpost/rudderpost/mgr], which has the command
// manager, and [github.com/rudderpost/rudderpost/transport/unix], the default way in. The examples
// directory has small daemons that embed them.
package rudderpost
