package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// documentedPackages are the packages whose identifiers documents name, by the name that stands before the dot.
var documentedPackages = map[string]string{
	"wire": "wire", "loop": "loop", "transport": "transport", "unix": "transport/unix", "tcp": "transport/tcp",
	"quic": "transport/quic", "websocket": "transport/websocket", "tlsconf": "transport/tlsconf", "mgr": "mgr", "std": "mgr/std",
	"access": "access", "secrets": "access/secrets", "audit": "audit", "record": "audit/record", "hooks": "hooks", "client": "client",
}

// TestDocumentsNameIdentifiersThatExist: each `package.Name` in a document is exported by that package, and in
// `package.Name.Member` the member is a field or a method of some type of the package. Decision records are left out: they
// tell what was decided then.
func TestDocumentsNameIdentifiersThatExist(t *testing.T) {
	root := testkit.ModuleRoot(t)
	exported := map[string]map[string]bool{}
	for name, dir := range documentedPackages {
		exported[name] = exportedNames(t, filepath.Join(root, dir))
	}
	identifier := regexp.MustCompile("[`&]([a-z]+)\\.([A-Z]\\w*)(?:\\.([A-Z]\\w*))?")
	found := 0
	for _, document := range documents(t, root) {
		if strings.HasPrefix(document, "docs/decisions/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, document))
		require.NoError(t, err)
		for i, line := range strings.Split(string(text), "\n") {
			for _, m := range identifier.FindAllStringSubmatch(line, -1) {
				names, known := exported[m[1]]
				if !known {
					continue
				}
				found++
				if !names[m[2]] || m[3] != "" && !names[m[3]] {
					t.Errorf("%s:%d: %s is not in the code", document, i+1, strings.Trim(m[0], "`&"))
				}
			}
		}
	}
	require.Greater(t, found, 50)
}

// exportedNames returns the exported names of the package in dir: constants, variables, types, functions, methods, fields,
// and methods of interfaces.
func exportedNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				names[node.Name.Name] = true
				return false
			case *ast.TypeSpec:
				names[node.Name.Name] = true
			case *ast.ValueSpec:
				for _, name := range node.Names {
					names[name.Name] = true
				}
			case *ast.Field:
				for _, name := range node.Names {
					names[name.Name] = true
				}
			}
			return true
		})
	}
	return names
}
