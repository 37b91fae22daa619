package api

import (
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// Product is something to order.
type Product struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Cents int    `json:"cents"` // EUR
}

// Order is one order of one user.
type Order struct {
	ID       string    `json:"id"`
	Product  Product   `json:"product"`
	Quantity int       `json:"quantity"`
	Cents    int       `json:"cents"` // EUR, of the whole order
	Status   string    `json:"status"`
	PlacedAt time.Time `json:"placedAt"`
}

var catalogue = []Product{
	{"mug", "Enamel mug", 1450},
	{"notebook", "Dotted notebook", 980},
	{"lamp", "Desk lamp", 6900},
	{"tote", "Canvas tote", 1900},
	{"pen", "Brass pen", 3400},
	{"plant", "Small fern", 1250},
}

const (
	maxOrdersPerUser = 12
	maxUsers         = 1000
	maxQuantity      = 9
)

// orders keeps the orders of everybody in bounded memory: a user's oldest order goes when there are too many, and so
// does the user seen first.
type orders struct {
	now func() time.Time

	mu    sync.Mutex
	next  int
	users []string // in the order first seen
	of    map[string][]Order
}

func newOrders(now func() time.Time) *orders {
	return &orders{now: now, next: 1042, of: map[string][]Order{}}
}

// list returns a user's orders, newest first.
func (o *orders) list(user string) []Order {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.meet(user)
	return slices.Clone(o.of[user])
}

// add places an order. It reports false for an unknown product or a quantity out of range.
func (o *orders) add(user, sku string, quantity int) (Order, bool) {
	i := slices.IndexFunc(catalogue, func(p Product) bool { return p.SKU == sku })
	if i < 0 || quantity < 1 || quantity > maxQuantity {
		return Order{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.meet(user)
	placed := o.make(catalogue[i], quantity, "Received", o.now())
	o.of[user] = slices.Insert(o.of[user], 0, placed)
	o.of[user] = o.of[user][:min(len(o.of[user]), maxOrdersPerUser)]
	return placed, true
}

// meet gives a new user some history. It wants the mutex held.
func (o *orders) meet(user string) {
	if _, known := o.of[user]; known {
		return
	}
	if len(o.users) >= maxUsers {
		delete(o.of, o.users[0])
		o.users = o.users[1:]
	}
	o.users = append(o.users, user)
	h := fnv.New32a()
	h.Write([]byte(user))
	first := int(h.Sum32() % uint32(len(catalogue)))
	pick := func(n int) Product { return catalogue[(first+n)%len(catalogue)] }
	now := o.now()
	o.of[user] = []Order{
		o.make(pick(0), 1, "On its way", now.Add(-26*time.Hour)),
		o.make(pick(2), 2, "Delivered", now.AddDate(0, 0, -9)),
		o.make(pick(3), 1, "Delivered", now.AddDate(0, 0, -31)),
	}
}

func (o *orders) make(p Product, quantity int, status string, at time.Time) Order {
	o.next++
	return Order{ID: fmt.Sprintf("A-%d", o.next), Product: p, Quantity: quantity, Cents: p.Cents * quantity,
		Status: status, PlacedAt: at.UTC().Truncate(time.Second)}
}
