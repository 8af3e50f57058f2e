"""Pages that people look at: one self-contained HTML file for a run or a comparison, and its figures for print."""
