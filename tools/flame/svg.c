/*
 * svg.c - a flame graph: the frames of fold.h as one picture
 *
 * Each frame is a box as wide as its share of the samples, on top of the one that called it. The
 * file stands alone: its style and its script are in it. A click on a box makes it as wide as the
 * picture, "Reset" undoes it; the search (or the key /) marks the boxes whose name holds the text
 * and says what share of the samples they are.
 */
#include <stdlib.h>
#include <string.h>
#include "tools/flame/fold.h"

#define WIDTH	 1200.0
#define MARGIN	 10.0
#define HEIGHT	 18
#define TOP	 74
#define BOTTOM	 10
#define CHAR	 7.1 /* a character of the font is about as wide */
#define TOO_THIN 0.05 /* pixels: such boxes are left out */

static const char style[] =
	"<style>\n"
	"text{font:12px ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;fill:#1b1b1b}\n"
	"#title{font-size:17px;font-weight:bold}\n"
	".b{cursor:pointer}\n"
	".b:hover rect{stroke:#000;stroke-width:1}\n"
	".b rect{stroke:#fff;stroke-width:.4}\n"
	".b.above rect{opacity:.45}\n"
	".b.hit rect{fill:#b05be0}\n"
	".button{cursor:pointer;fill:#2456a6}\n"
	"</style>\n";

/*
 * x and w are shares of the whole, in attributes; zooming changes what part of [0, 1] the picture
 * shows. Names are cut to what fits.
 */
static const char script[] =
	"<script><![CDATA[\n"
	"(function () {\n"
	"	var svg = document.documentElement, W = 1200, M = 10, C = 7.1;\n"
	"	var boxes = [].slice.call(svg.querySelectorAll('.b')).map(function (g) {\n"
	"		return {g: g, x: +g.getAttribute('data-x'), w: +g.getAttribute('data-w'),\n"
	"			d: +g.getAttribute('data-d'), name: g.getAttribute('data-n'),\n"
	"			rect: g.querySelector('rect'), text: g.querySelector('text')};\n"
	"	});\n"
	"	var info = document.getElementById('info'), found = "
	"document.getElementById('found');\n"
	"	var reset = document.getElementById('reset'), eps = 1e-9, term = '';\n"
	"	function fit(name, width) {\n"
	"		var n = Math.floor((width - 6) / C);\n"
	"		return n < 3 ? '' : name.length <= n ? name : name.slice(0, n - 2) + "
	"'..';\n"
	"	}\n"
	"	function show(x, w, depth) {\n"
	"		boxes.forEach(function (b) {\n"
	"			var above = b.d < depth && b.x <= x + eps && b.x + b.w >= x + w - "
	"eps;\n"
	"			var inside = b.x >= x - eps && b.x + b.w <= x + w + eps && b.d >= "
	"depth;\n"
	"			var px = above ? M : M + (b.x - x) / w * (W - 2 * M);\n"
	"			var pw = above ? W - 2 * M : b.w / w * (W - 2 * M);\n"
	"			b.g.style.display = above || (inside && pw >= 0.1) ? '' : 'none';\n"
	"			b.g.classList.toggle('above', above);\n"
	"			b.rect.setAttribute('x', px); b.rect.setAttribute('width', pw);\n"
	"			b.text.setAttribute('x', px + 3); b.text.textContent = fit(b.name, "
	"pw);\n"
	"		});\n"
	"		reset.style.display = depth ? '' : 'none';\n"
	"	}\n"
	"	function search(text) {\n"
	"		var parts = [], sum = 0, end = -1;\n"
	"		term = text;\n"
	"		boxes.forEach(function (b) {\n"
	"			var hit = text && b.name.toLowerCase().indexOf(text.toLowerCase()) "
	">= 0;\n"
	"			b.g.classList.toggle('hit', !!hit);\n"
	"			if (hit) parts.push(b);\n"
	"		});\n"
	"		/* boxes inside others count once */\n"
	"		parts.sort(function (a, b) { return a.x - b.x || b.w - a.w; });\n"
	"		parts.forEach(function (b) {\n"
	"			if (b.x >= end - eps) { sum += b.w; end = b.x + b.w; }\n"
	"		});\n"
	"		found.textContent = text ? '\"' + text + '\": ' + (sum * 100).toFixed(1) + "
	"'%' : '';\n"
	"	}\n"
	"	function ask() { var t = prompt('Mark functions whose name holds:', term);\n"
	"		if (t !== null) search(t); }\n"
	"	boxes.forEach(function (b) {\n"
	"		b.g.addEventListener('click', function () { show(b.x, b.w, b.d); });\n"
	"		b.g.addEventListener('mouseover', function () {\n"
	"			info.textContent = b.g.querySelector('title').textContent; });\n"
	"		b.g.addEventListener('mouseout', function () { info.textContent = ''; });\n"
	"	});\n"
	"	reset.addEventListener('click', function () { show(0, 1, 0); });\n"
	"	document.getElementById('search').addEventListener('click', ask);\n"
	"	window.addEventListener('keydown', function (e) {\n"
	"		if (e.key === '/') { e.preventDefault(); ask(); }\n"
	"		if (e.key === 'Escape') { search(''); show(0, 1, 0); }\n"
	"	});\n"
	"})();\n"
	"]]></script>\n";

/* As text of XML: no markup, and no character that XML does not have. */
static void escape(const char *s, FILE *out)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '&')
			fputs("&amp;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else if (c < ' ' || c > '~')
			fputc('?', out);
		else
			fputc(c, out);
	}
}

/* Warm colours for user code, cool ones for the kernel; a function has the same one everywhere. */
static void print_color(const struct frame *f, FILE *out)
{
	unsigned int h = 2166136261u;
	const char *s;

	for (s = f->name; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	if (f->kernel)
		fprintf(out, "rgb(%u,%u,%u)", 110 + h % 40, 165 + h / 64 % 40, 215 + h / 4096 % 35);
	else
		fprintf(out, "rgb(%u,%u,%u)", 225 + h % 30, 125 + h / 64 % 90, 60 + h / 4096 % 30);
}

/* White is no change; ten of a hundred more or less is full colour. */
static void print_change(const struct frame *f, FILE *out)
{
	double much = f->change * 10;
	unsigned int pale = 255 - (unsigned int)(180 * (much > 1 || much < -1 ? 1
							: much < 0	      ? -much
									      : much));

	if (much >= 0)
		fprintf(out, "rgb(255,%u,%u)", pale, pale);
	else
		fprintf(out, "rgb(%u,%u,255)", pale, pale);
}

static unsigned int depth_of(const struct frame *f, double share)
{
	const struct frame *child;
	unsigned int deepest = 0, d;

	for (child = f->child; child; child = child->next) {
		if ((double)child->total * share < TOO_THIN)
			continue;
		d = 1 + depth_of(child, share);
		deepest = d > deepest ? d : deepest;
	}
	return deepest;
}

struct picture {
	FILE *out;
	double all; /* samples */
	unsigned int height;
	int diff;
};

static void print_box(const struct picture *pic, const struct frame *f, double x,
		      unsigned int depth)
{
	double w = (double)f->total / pic->all, px = MARGIN + x * (WIDTH - 2 * MARGIN);
	double pw = w * (WIDTH - 2 * MARGIN);
	int y = (int)pic->height - BOTTOM - HEIGHT * (int)(depth + 1);
	int room = (int)((pw - 6) / CHAR), len = (int)strlen(f->name);
	char name[256];
	FILE *out = pic->out;

	if (pw < TOO_THIN)
		return;
	fprintf(out, "<g class=\"b\" data-x=\"%.8f\" data-w=\"%.8f\" data-d=\"%u\" data-n=\"", x, w,
		depth);
	escape(f->name, out);
	fprintf(out, "\"><title>");
	escape(f->name, out);
	if (pic->diff)
		fprintf(out, " (%llu samples, %.2f%%, %+.2f)</title>", f->total, w * 100,
			f->change * 100);
	else
		fprintf(out, " (%llu samples, %.2f%%; itself %llu)</title>", f->total, w * 100,
			f->self);
	fprintf(out, "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" rx=\"1\" fill=\"", px,
		y, pw, HEIGHT - 1);
	if (pic->diff)
		print_change(f, out);
	else
		print_color(f, out);
	fprintf(out, "\"/><text x=\"%.2f\" y=\"%d\">", px + 3, y + 13);
	if (room >= 3) {
		if (room > (int)sizeof(name) - 1)
			room = sizeof(name) - 1;
		snprintf(name, sizeof(name), "%.*s%s", len > room ? room - 2 : room, f->name,
			 len > room ? ".." : "");
		escape(name, out);
	}
	fprintf(out, "</text></g>\n");
}

static void print_frames(const struct picture *pic, const struct frame *f, double x,
			 unsigned int depth)
{
	const struct frame *child;

	print_box(pic, f, x, depth);
	for (child = f->child; child; child = child->next) {
		print_frames(pic, child, x, depth + 1);
		x += (double)child->total / pic->all;
	}
}

static void print_picture(const struct frame *root, const char *title, int diff, FILE *out)
{
	struct picture pic = {
		.out = out, .all = root->total ? (double)root->total : 1, .diff = diff};

	pic.height = TOP + BOTTOM + HEIGHT * (depth_of(root, (WIDTH - 2 * MARGIN) / pic.all) + 1);
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %u\" width=\"%.0f\" "
		"height=\"%u\">\n%s",
		WIDTH, pic.height, WIDTH, pic.height, style);
	fprintf(out,
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fdfcf7\"/>\n"
		"<text id=\"title\" x=\"%.0f\" y=\"26\" text-anchor=\"middle\">",
		WIDTH / 2);
	escape(title, out);
	fprintf(out,
		"</text>\n<text x=\"%.0f\" y=\"46\" text-anchor=\"middle\">%llu samples</text>\n"
		"<text id=\"reset\" class=\"button\" x=\"%.0f\" y=\"26\" style=\"display:none\">"
		"Reset</text>\n"
		"<text id=\"search\" class=\"button\" x=\"%.0f\" y=\"26\" "
		"text-anchor=\"end\">Search"
		"</text>\n"
		"<text id=\"found\" x=\"%.0f\" y=\"46\" text-anchor=\"end\"></text>\n"
		"<text id=\"info\" x=\"%.0f\" y=\"64\"></text>\n",
		WIDTH / 2, root->total, MARGIN, WIDTH - MARGIN, WIDTH - MARGIN, MARGIN);
	print_frames(&pic, root, 0, 0);
	fprintf(out, "%s</svg>\n", script);
}

void svg_print(const struct frame *root, const char *title, FILE *out)
{
	print_picture(root, title, 0, out);
}

void svg_print_diff(const struct frame *root, const char *title, FILE *out)
{
	print_picture(root, title, 1, out);
}
