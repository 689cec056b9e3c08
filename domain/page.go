package domain

// MaxPage is how many bytes of contents and payloads a page of a list holds at most, unless its first item alone has more.
// A page is in memory as a whole, in more than one form, until its reader has it; many may be at once.
const MaxPage = 4 << 20

// Page gathers a page of a list, item by item, until it is full.
type Page[Item any] struct {
	Limit int // of items
	Items []Item
	More  bool // an item did not fit: there are more than these

	size int
}

// Add adds an item with so many bytes of content, and reports whether it fitted. When it did not, the page is complete.
func (p *Page[Item]) Add(item Item, size int) bool {
	full := len(p.Items) > 0 && p.size+size > MaxPage
	if p.More = full || len(p.Items) >= p.Limit; p.More {
		return false
	}
	p.Items = append(p.Items, item)
	p.size += size
	return true
}
