"""Numbers that are called an order, a parcel, a product or a version."""

from __future__ import annotations

import re

from app.services.detectors.normalise import View
from app.services.detectors.vocabulary import Vocabulary

_PRODUCT_WORDS = Vocabulary(
    "order, orders, tracking, shipment, parcel, ean, upc, gtin, isbn, issn, sku, asin, barcode, product",
    "item, part, serial",
    "version, build, release, revision, ticket, invoice, receipt, transaction, batch, lot, model, reference, ref, hash",
    "timestamp, epoch, bestellung, bestellnummer, auftragsnummer, sendungsnummer, rechnung",
    "rechnungsnummer, artikelnummer",
    "commande, suivi, facture, pedido, seguimiento, factura, ordine, fattura, spedizione, pedido, fatura, bestelling",
    "zamówienie, faktura, 订单, 订单号, 运单, 快递, 条码, 版本, 注文",
)
_BETWEEN = re.compile(
    r"[ \t:#=\"'.()]*(?:(?:no|nr|num|number|numbers|nummer|id|ids|code|is|ist|est|es|#|n)\b[ \t:#=\"'.()]*){0,3}$"
)


def follows_product_word(view: View, start: int) -> bool:
    """Whether the number that starts at `start` is called an order, a parcel, a version and the like."""
    return any(
        _BETWEEN.fullmatch(view.lower, end, start) is not None
        for _, end in _PRODUCT_WORDS.places_between(view, start - 30, start)
    )
