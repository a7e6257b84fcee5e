// Package audit keeps the record of who did what through the channel: a file with a JSON object on each
// line, to which nothing is done but adding. A Log is a mgr.Recorder:
//
//	log, err := audit.Open(audit.Options{Path: "run/audit.jsonl"})
//	m := mgr.New(&mgr.Options{Recorder: log})
//	err = m.Register(log.Commands()...)
//
// A command that may change something has two records: its intent, in the file before it runs, and its
// outcome, in the file before its caller is answered. A command that looks has one. So have calls that
// were refused and, where Refused is told of them, clients that proved nothing. Arguments are recorded
// as a digest, or in clear where nothing in them is secret; secrets are never in the file.
//
// Records are chained by their hashes; package [github.com/rudderpost/rudderpost/audit/record] says how,
// reads and verifies them. A file that is renamed, for rotation, is followed by a new one within a
// second, and the chain goes on there.
package audit
