package audit_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
)

func Example() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "audit.jsonl")

	log, err := audit.Open(audit.Options{Path: path})
	if err != nil {
		panic(err)
	}
	m := mgr.New(&mgr.Options{Recorder: log, Logger: slog.New(slog.DiscardHandler)})
	if err := m.Register(log.Commands()...); err != nil {
		panic(err)
	}
	// … m.Run, which calls the log for each command …
	if err := log.Close(); err != nil {
		panic(err)
	}

	summary, err := record.VerifyFiles(path)
	fmt.Println(summary.Records, "records, up to", summary.Last.Event, err)
	// Output: 2 records, up to closed <nil>
}
