package proxy

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bff-operator/bff-operator/api/v1alpha1"
	"github.com/bff-operator/bff-operator/sidecar/internal/token"
)

// Route is one route, compiled. It is immutable.
type Route struct {
	// Name appears in logs and metrics.
	Name string
	// Path is the prefix, without a slash at its end except for "/" itself.
	Path string
	// Upstream is scheme and host.
	Upstream *url.URL
	// Token says which token the upstream gets, and Target what an access token is
	// for.
	Token  v1alpha1.TokenType
	Target token.Target
	// Transport reaches the upstream.
	Transport http.RoundTripper
	// Allow lists the methods, as the header of that name does.
	Allow string

	methods []string
	origin  string // Upstream as text
}

// Allows says whether the route takes the method. Methods are case-sensitive
// (RFC 9110 section 9.1).
func (r *Route) Allows(method string) bool { return slices.Contains(r.methods, method) }

// Class is which part of the sidecar answers a path.
type Class uint8

const (
	// ToApplication: everything that is neither of the others.
	ToApplication Class = iota
	// ToEndpoint: below the base path.
	ToEndpoint
	// ToRoute: below a route's path.
	ToRoute
)

// Target is where a path leads.
type Target struct {
	Class Class
	// Route is set for ToRoute.
	Route *Route
	// Endpoint is what follows the base path, such as "/login", for ToEndpoint.
	Endpoint string
}

// Table says where a path leads. It is immutable.
type Table struct {
	basePath string
	routes   []*Route // longest path first
}

// NewTable compiles the routes of a valid policy, in which every route names
// its methods. transport says how to reach a route's upstream.
func NewTable(basePath string, routes []v1alpha1.Route, transport func(*v1alpha1.Route) http.RoundTripper) (*Table, error) {
	t := &Table{basePath: basePath}
	for i := range routes {
		r := &routes[i]
		upstream, err := url.Parse(r.Upstream.URL)
		if err != nil {
			return nil, err
		}
		route := &Route{
			Name: r.Name, Path: r.Path, Upstream: upstream, Transport: transport(r), origin: upstream.Scheme + "://" + upstream.Host,
			Token: r.Token.Type, Target: token.Target{Resource: r.Token.Resource, Scopes: r.Token.Scopes},
		}
		for _, m := range r.Methods {
			route.methods = append(route.methods, string(m))
		}
		route.Allow = strings.Join(route.methods, ", ")
		t.routes = append(t.routes, route)
	}
	slices.SortFunc(t.routes, func(a, b *Route) int { return cmp.Compare(len(b.Path), len(a.Path)) })
	return t, nil
}

// Find says where the path leads: the base path first, then the longest route
// on segment boundaries, then the application. It returns an error that may be
// shown to the caller if the path leads elsewhere once its path parameters are
// removed: the server behind us could do that.
func (t *Table) Find(p Path) (Target, error) {
	target := t.find(p.Decoded)
	if p.Bare != p.Decoded {
		bare := t.find(p.Bare)
		if bare.Class != target.Class || bare.Route != target.Route {
			return Target{}, errAmbiguousPath
		}
	}
	return target, nil
}

func (t *Table) find(path string) Target {
	if rest, ok := below(path, t.basePath); ok {
		return Target{Class: ToEndpoint, Endpoint: rest}
	}
	for _, route := range t.routes {
		if _, ok := below(path, route.Path); ok {
			return Target{Class: ToRoute, Route: route}
		}
	}
	return Target{Class: ToApplication}
}

// below says whether the path is the prefix or lies below it, and returns what
// follows the prefix.
func below(path, prefix string) (rest string, ok bool) {
	if prefix == "/" {
		return path, true
	}
	rest, ok = strings.CutPrefix(path, prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}
