"""The plants that the sample shop sells."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Product:
    """A plant."""

    slug: str
    name: str
    latin: str
    cents: int
    about: str
    light: str
    water: str
    height: str

    @property
    def price(self) -> str:
        """The price as the page shows it."""
        return f"${self.cents / 100:.2f}"

    @property
    def content(self) -> dict[str, Any]:
        """What the Pixel is told of the plant: the custom data of its events."""
        return {
            "content_ids": [self.slug],
            "content_name": self.name,
            "content_type": "product",
            "value": self.cents / 100,
            "currency": "USD",
        }


PRODUCTS = {
    product.slug: product
    for product in (
        Product(
            "monstera",
            "Monstera",
            "Monstera deliciosa",
            4200,
            "Wide, split leaves that lean toward the window. Give it a stick to climb and it will thank you.",
            "Bright, no midday sun",
            "Weekly",
            "60 cm",
        ),
        Product(
            "fern",
            "Boston fern",
            "Nephrolepis exaltata",
            2400,
            "A soft fountain of green for the bathroom shelf, where the air is never too dry for it.",
            "Half shade",
            "Every three days",
            "35 cm",
        ),
        Product(
            "snake",
            "Snake plant",
            "Dracaena trifasciata",
            2950,
            "Stands upright in the darkest hall, and does not mind that you were away for a month.",
            "Anything but the cellar",
            "Monthly",
            "55 cm",
        ),
        Product(
            "pilea",
            "Pancake plant",
            "Pilea peperomioides",
            1850,
            "Round leaves on thin stalks, and a new small plant to give away every spring.",
            "Bright",
            "Weekly",
            "25 cm",
        ),
        Product(
            "aloe",
            "Aloe",
            "Aloe vera",
            1600,
            "Keeps its own water for weeks, and a little gel for the day you touch the oven.",
            "Full sun",
            "Every two weeks",
            "30 cm",
        ),
        Product(
            "olive",
            "Olive tree",
            "Olea europaea",
            5400,
            "A small tree with silver leaves. Summer on the balcony, winter in the cold stairwell.",
            "Full sun",
            "Weekly",
            "80 cm",
        ),
    )
}
