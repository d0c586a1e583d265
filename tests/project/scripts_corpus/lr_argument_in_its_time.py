# expect: KD701 KD702 KD711 KD716
# with: tensorflow==2.10.1 keras==2.10.0
from tensorflow.keras.optimizers import Adam
from tensorflow.keras import layers, models

model = models.Sequential([layers.Dense(1)])
model.compile(loss="mse", optimizer=Adam(lr=0.001, decay=1e-6))
model.fit(x, y, epochs=3)
