"""The style of the page: light, dark, on a telephone and on paper. Colours mark what words say."""

STYLE = """
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;padding:32px 20px 48px;background:#fff;color:#1b2530;
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
-webkit-text-size-adjust:100%;font-variant-numeric:tabular-nums}
main{max-width:780px;margin:0 auto}
h1,h2,h3,p,dl,dd,ul,figure{margin:0;padding:0}
.kicker{color:#5c6873;font-size:13px;letter-spacing:.02em}
.kicker b{color:#1b2530;font-weight:600}
h1{font-size:27px;line-height:1.25;font-weight:650;letter-spacing:-.012em;margin:10px 0 6px;text-wrap:balance}
.lead{padding-left:16px;border-left:4px solid #8fa3b5;margin:14px 0 0}
.lead.attention{border-color:#b3261e}.lead.look{border-color:#b97400}.lead.well{border-color:#1f6f43}
.lead p{color:#3c4853}
.pill{font-size:13px;font-weight:650}
h2{font-size:18px;line-height:1.3;font-weight:650;margin:40px 0 4px;padding-top:14px;border-top:1px solid #d5dbe1}
h3{font-size:15px;font-weight:650;margin:22px 0 4px}
.note{color:#5c6873;font-size:13.5px}
h2+.note{margin-bottom:10px}.after{margin-top:22px}
.tiles{display:flex;flex-wrap:wrap;gap:1px;margin:26px 0 0;
background:#d5dbe1;border:1px solid #d5dbe1;border-radius:8px;overflow:hidden}
.tiles div{flex:1 1 138px;background:#fff;padding:12px 14px}
.tiles dt{color:#5c6873;font-size:13px}
.tiles dd{font-size:22px;font-weight:650;line-height:1.3}
.tiles .note{font-size:13px;font-weight:400;display:block;line-height:1.4}
table{border-collapse:collapse;width:100%;margin:8px 0 0;font-size:14px}
th{text-align:left;font-weight:500;color:#5c6873;font-size:13px;padding:5px 12px 5px 0;border-bottom:1px solid #c4ccd4;vertical-align:bottom}
td{padding:6px 12px 6px 0;border-bottom:1px solid #e6eaee;vertical-align:top}
th:last-child,td:last-child{padding-right:0}
.n{text-align:right;white-space:nowrap}
.name{overflow-wrap:anywhere}
.keep{white-space:nowrap}
table.even{table-layout:fixed}
table.even th:nth-child(2){width:98px}table.even th:nth-child(3){width:78px}table.even th:nth-child(4){width:96px}table.even th:nth-child(5){width:94px}
tfoot td{font-weight:600;border-bottom:0}
.bad{color:#a61b14;font-weight:600}.weak{color:#8a5200;font-weight:600}.good{color:#1f6f43}.dim{color:#5c6873}
code{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere;
background:#f0f3f6;border-radius:3px;padding:1px 4px}
ul.items{list-style:none;margin-top:8px}
ul.items li{padding:8px 0;border-bottom:1px solid #e6eaee}
ul.items p{color:#3c4853;overflow-wrap:anywhere}
svg{display:block}
svg.chart{width:100%;height:84px;margin-top:6px;border-bottom:1px solid #c4ccd4}
svg.spark{width:90px;height:22px}
.axis{display:flex;justify-content:space-between;color:#5c6873;font-size:12.5px;margin-top:3px}
.cards{display:grid;grid-template-columns:1fr 1fr;gap:22px 28px;margin-top:12px}
.cards h3{margin:0;overflow-wrap:anywhere}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 5px 0 0;vertical-align:-1px}
.key.day{background:#2f5d8a}.key.bar{background:#8fa3b5}.key.range{background:#d3dee8}.key.weak{background:#b97400}
.key.line{height:2px;border-radius:0;background:#5c6873;width:14px;vertical-align:3px}
.legend span{margin-right:16px;white-space:nowrap}
.c-bar,.c-none{fill:#8fa3b5}.c-none{opacity:.5}.c-day{fill:#2f5d8a}.c-bad{fill:#b3261e}.c-weak{fill:#b97400}
.c-range{fill:#dfe7ee}.c-line{stroke:#5c6873}
footer{margin-top:44px;padding-top:12px;border-top:1px solid #d5dbe1;color:#5c6873;font-size:13px}
@media (max-width:600px){
body{padding:20px 16px 36px}
h1{font-size:22px}
.cards{grid-template-columns:1fr}
table.stack thead{display:none}
table.stack tr{display:block;padding:8px 0;border-bottom:1px solid #e6eaee}
table.stack td{display:inline-block;padding:0;border:0;text-align:left;white-space:normal}
table.stack td.first{display:block}
table.stack td[data-l]:not(:empty)::before{content:attr(data-l)": ";color:#5c6873}
table.stack td[data-l]:not(:empty):not(:last-child)::after{content:"\\00b7";margin:0 6px;color:#5c6873}
table.even td{display:inline-block;margin-right:14px;vertical-align:middle}
table.even td.limit{display:none}
}
@media screen and (prefers-color-scheme:dark){
body{background:#13171b;color:#e4e8ec}
.kicker b{color:#e4e8ec}
.kicker,.note,.tiles dt,th,.dim,.axis,footer,
table.stack td[data-l]:not(:empty)::before,table.stack td[data-l]:not(:empty):not(:last-child)::after{color:#98a4af}
.lead p,ul.items p{color:#c3cbd2}
.lead{border-color:#5d7286}.lead.attention{border-color:#f0766c}.lead.look{border-color:#e3a13c}.lead.well{border-color:#5cb885}
h2,footer{border-color:#323b44}
.tiles{background:#323b44;border-color:#323b44}.tiles div{background:#191e23}
th{border-color:#424d57}td,ul.items li,table.stack tr{border-color:#262e35}
.bad{color:#ff9087}.weak{color:#efb45c}.good{color:#6fc797}
code{background:#222930}
svg.chart{border-color:#424d57}
.c-bar,.c-none{fill:#5d7286}.c-day{fill:#7fb2e5}.c-bad{fill:#f0766c}.c-weak{fill:#e3a13c}.c-range{fill:#26303a}.c-line{stroke:#98a4af}
.key.day{background:#7fb2e5}.key.bar{background:#5d7286}.key.range{background:#33404d}.key.weak{background:#e3a13c}.key.line{background:#98a4af}
}
@page{size:A4;margin:15mm 14mm}
@media print{
body{padding:0;font-size:10pt;line-height:1.4}
.tiles div{flex-basis:28mm;padding:7pt 9pt}.tiles dd{font-size:15pt}
td{padding-top:3pt;padding-bottom:3pt}ul.items li{padding:4pt 0}svg.chart{height:60px}footer{margin-top:18pt}
main{max-width:none}
h1{font-size:17pt}h2{font-size:12.5pt;margin-top:20pt;break-after:avoid}h3{font-size:10.5pt;break-after:avoid}
table{font-size:9.2pt}th,.note,.axis,footer,.kicker{font-size:8.6pt}
tr,li,.cards>*,.tiles div,figure,.lead{break-inside:avoid}
thead{display:table-header-group}
svg,.key{print-color-adjust:exact;-webkit-print-color-adjust:exact}
code{background:none;padding:0}
}
"""
