// Package audit writes the audit of a daemon: a file with a line for each call that a peer made and for each refused
// login. A line is a JSON object. The file is only appended to.
//
// To use it, open a [Log], which is a mgr.Recorder, give it to the manager, and close it after the manager has ended:
//
//	log, err := audit.Open(audit.Options{Path: "run/audit.jsonl"})
//	m := mgr.New(&mgr.Options{Recorder: log})
//	err = m.Register(log.Commands()...)
//
// A command that may change something has two entries: its intent, which is in the file before the command runs, and
// its outcome, which is in the file before the caller gets the reply. A command that only reads has one. A refused
// call has one, and so has each refused login that a transport reports to [Log.Refused]. Of the arguments, an entry
// has a digest, and on request the text where no part of it is secret. Secrets are never in the file.
//
// Each entry has the hash of the entry before it. Package [github.com/rudderpost/rudderpost/audit/record] describes
// that chain, and reads and verifies it. When the file is renamed, for rotation, the log creates a new one within a
// second, and the chain continues there.
package audit
